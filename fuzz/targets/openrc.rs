//! The environment that sourcing an openrc left, and the openrc file itself.
#![no_main]

use fleet::secret::OpenrcEnv;
use fleet::systems::openstack::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let env = OpenrcEnv::from_env0(bytes);
    if let Some(password) = env.get("OS_PASSWORD").filter(|password| !password.contains("[secret]")) {
        // Whatever is told of it, the password is not.
        assert!(!env.scrub(&format!("<{password}>")).contains(&format!("<{password}>")));
    }
    fuzzing::openrc(&env);
    fleet::config::openrc::fuzzing::look(bytes);
});
