//! tmp
use crate::apply::delete::Summary;
use crate::plan::orphans::OrphanPlan;
use std::io::{self, Write};
pub fn json(_o: &mut impl Write, _p: &OrphanPlan<'_>) -> io::Result<()> {
    Ok(())
}
pub fn table(_o: &mut impl Write, _p: &OrphanPlan<'_>, _all: bool) -> io::Result<()> {
    Ok(())
}
pub fn outcome_json(_o: &mut impl Write, _p: &Summary<'_>) -> io::Result<()> {
    Ok(())
}
pub fn outcome(_o: &mut impl Write, _p: &Summary<'_>) -> io::Result<()> {
    Ok(())
}
