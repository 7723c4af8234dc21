//! Views, volumes and PVs for tests.
