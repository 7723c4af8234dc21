//! The values that can stand in `fleet.toml` and on the command line, from text. Each error says what is wrong
//! with the value and how one is written, but not which key it was for.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SpanRelativeTo;

use crate::hub::{JumpAddress, LABEL_LIMIT};

const DAY: Duration = Duration::from_hours(24);

/// The longest that fleet may be told to wait for one thing: more is a slip of the pen.
const LONGEST_WAIT: Duration = DAY;

/// The longest duration that has a meaning here: ten years.
const LONGEST: Duration = Duration::from_hours(24 * 3650);

/// A length of time, such as `90s`, `15m`, `24h` or `7d`; a day is 24 hours.
pub fn duration(text: &str) -> Result<Duration, String> {
    let how =
        || format!("{text:?} is not a length of time; write it like \"90s\", \"15m\", \"24h\" or \"7d\"");
    let span: jiff::Span = text.trim().parse().map_err(|_| how())?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| how())?;
    let duration = Duration::try_from(signed).map_err(|_| format!("{text:?} is negative"))?;
    if duration > LONGEST {
        return Err(format!("{text:?} is longer than ten years"));
    }
    Ok(duration)
}

/// How long something holds: more than nothing.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return Err(format!("{text:?} leaves no time at all"));
    }
    Ok(duration)
}

/// How long to wait for something: more than nothing, and a day at most.
pub fn wait(text: &str) -> Result<Duration, String> {
    let duration = lifetime(text)?;
    if duration > LONGEST_WAIT {
        return Err(format!("{text:?} is longer than a day"));
    }
    Ok(duration)
}

/// The units of a size. "512M" is none of them: it means 10^6 to some programs and 2^20 to others.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    // Last, because the others end in it.
    ("B", 1),
];

/// A number of bytes, such as `512MiB` or `1.5GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let how = || format!("{text:?} is not a size; write it like \"512MiB\" or \"1GiB\"");
    let (number, unit) = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.trim().strip_suffix(unit)?.trim_end(), *bytes)))
        .ok_or_else(how)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    // Nine digits of a fraction are exact to the byte in any unit that is left after the point.
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return Err(how());
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| how())?);
    let whole: u128 = whole.parse().map_err(|_| how())?;
    let fraction: u128 = fraction.parse().map_err(|_| how())?;
    whole
        .checked_mul(u128::from(unit))
        .and_then(|bytes| bytes.checked_add(fraction * u128::from(unit) / scale))
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| format!("{text:?} is more than any machine has"))
}

/// The least memory in which `kubectl` and `ssh` start at all.
const LEAST_MEMORY: u64 = 32 << 20;

/// The most memory that is no slip of the pen.
const MOST_MEMORY: u64 = 16 << 40;

/// A sandbox's memory.
pub fn memory(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if !(LEAST_MEMORY..=MOST_MEMORY).contains(&bytes) {
        return Err(format!("{text:?} is not from 32MiB to 16TiB"));
    }
    Ok(bytes)
}

/// A master's address.
pub fn ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text.trim().parse().map_err(|_| format!("{text:?} is not an IP address"))?;
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]) {
        return Err(format!("{text:?} is not the address of one machine"));
    }
    Ok(ip)
}

/// A DNS domain.
pub fn domain(text: &str) -> Result<String, String> {
    let bad = |why: &str| Err(format!("{text:?} is not a DNS domain: {why}"));
    // The dot at the end of a full name means the same domain.
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        if label.is_empty() {
            return bad("a part between the dots is empty");
        }
        if label.len() > LABEL_LIMIT {
            return bad("a part between the dots is longer than 63 characters");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return bad("only a-z, 0-9, '-' and '.' can be in it");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return bad("a part begins or ends with '-'");
        }
    }
    Ok(text.to_owned())
}

/// An account on a master. It becomes a word of a command line, so it can never look like an option.
pub fn user(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.starts_with('-') || !text.bytes().all(fits) {
        return Err(format!(
            "{text:?} is not an account: only a-z, 0-9, '_', '.' and '-' can be in it, no '-' first"
        ));
    }
    Ok(text.to_owned())
}

/// What is written instead of a value where the default does not hold.
pub const NONE: &str = "none";

/// A value, or the word that undoes a default.
pub fn unless_none<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text.trim() == NONE { Ok(None) } else { parse(text).map(Some) }
}

/// A jump host: `user@host:port`, or `user@host` where its sshd has SSH's own port.
pub fn jump(text: &str) -> Result<JumpAddress, String> {
    let how = |why: &str| {
        format!("{text:?} is no jump host: {why}; write it like \"ubuntu@149.165.1.2:22\", or \"none\"")
    };
    let (account, place) = text.trim().split_once('@').ok_or_else(|| how("it names no account"))?;
    if account.is_empty() {
        return Err(how("it names no account"));
    }
    // Of an IPv6 address only the brackets tell where it ends.
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, rest))) if host.contains(':') && (rest.is_empty() || rest.starts_with(':')) => {
            (host, rest.strip_prefix(':'))
        }
        Some(_) => {
            return Err(how("only a whole IPv6 address is in brackets, and only a port is behind them"));
        }
        None if place.matches(':').count() > 1 => {
            return Err(how("an IPv6 address needs brackets, [2001:db8::1]"));
        }
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(22), |port| match port.parse() {
        Ok(0) | Err(_) => Err(how("its port is not a number from 1 to 65535")),
        Ok(port) => Ok(port),
    })?;
    // Only digits and dots: an address that is wrong, and not a name.
    let is_number = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let host = match host.parse::<IpAddr>() {
        Ok(_) => ip(host)?.to_string(),
        Err(_) if is_number || host.contains(':') => return Err(how("its address is none")),
        Err(_) => domain(host).map_err(|why| how(&why))?.trim_end_matches('.').to_ascii_lowercase(),
    };
    Ok(JumpAddress { user: user(account)?, host, port })
}

/// The most characters of a socket's name: with the directory that it is seen in inside a sandbox, it has to fit into a socket's
/// address (`sun_path` of unix(7)).
const SOCKET_NAME_LIMIT: usize = 80;

/// The socket of an SSH agent, absolute.
pub fn agent(path: PathBuf) -> Result<PathBuf, String> {
    let name = path.file_name().map_or(0, std::ffi::OsStr::len);
    if name == 0 || path.parent().is_none_or(|dir| dir == Path::new("/")) {
        return Err(format!("{} is not a socket in a directory of its own", path.display()));
    }
    if name > SOCKET_NAME_LIMIT {
        return Err(format!("the name of {} is longer than {SOCKET_NAME_LIMIT} characters", path.display()));
    }
    Ok(path)
}

/// An image, as Docker names it. The engine judges the rest.
pub fn image(text: &str) -> Result<String, String> {
    if text.starts_with('-') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{text:?} is not an image's name; write it like \"fleet/sandbox:latest\""));
    }
    Ok(text.to_owned())
}

/// A container, by name.
pub fn container(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !begins || !text.bytes().all(fits) {
        return Err(format!("{text:?} is not a container's name; `docker ps -a` shows those that there are"));
    }
    Ok(text.to_owned())
}

/// What hubs are chosen by, beside their names. No comma and no sign of a pattern can be in it.
pub fn tag(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'=');
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(fits) {
        return Err(format!(
            "{text:?} is not a tag: only a-z, 0-9, '_', '-', '.', ':' and '=' can be in it, no '-' first"
        ));
    }
    Ok(text.to_owned())
}

/// The words that a command is known by: its program first, `*` for any.
pub fn guard(text: &str) -> Result<String, String> {
    match text.split_whitespace().next() {
        None => Err("it has no words; write it like \"kubectl delete\"".to_owned()),
        Some(program) if program.contains(['*', '/']) => {
            Err(format!("{text:?} has to begin with a program's name; write it like \"openstack * delete\""))
        }
        Some(_) => Ok(text.to_owned()),
    }
}

/// A Docker network, by name or id.
pub fn network(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.is_empty() || text.starts_with('-') || !text.bytes().all(fits) {
        return Err(format!(
            "{text:?} is not a Docker network's name; `docker network ls` shows those that there are"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_units_and_a_day_is_24_hours() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("24h", 86_400),
            ("7d", 604_800),
            ("1h 30m", 5400),
            ("0s", 0),
            ("1w", 604_800),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "s", "-5s", "5s ago", "1 month", "1y", "fast", "99999999999d", "1e9s", "∞"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wait_is_neither_nothing_nor_endless() {
        assert!(wait("1ms").is_ok());
        assert!(wait("24h").is_ok());
        for text in ["0s", "0h 0m", "25h", "-1s"] {
            assert!(wait(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lifetime_is_not_nothing() {
        assert_eq!(lifetime("7d"), Ok(DAY * 7));
        assert!(lifetime("0s").is_err() && lifetime("soon").is_err());
    }

    #[test]
    fn sizes_have_units_that_mean_one_thing() {
        for (text, bytes) in [
            ("1GiB", 1 << 30),
            ("512 MiB", 512 << 20),
            ("1.5GiB", 3 << 29),
            ("2GB", 2_000_000_000),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "1",
            "1G",
            "512m",
            "-1GiB",
            "1,5GiB",
            "GiB",
            ".5GiB",
            "1.GiB",
            "99999999999TiB",
            "1e3MiB",
            "١GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_one_machines() {
        for text in ["149.165.1.2", "2001:db8::1", "127.0.0.1"] {
            assert!(ip(text).is_ok(), "{text}");
        }
        for text in [
            "149.165.1",
            "149.165.1.256",
            "hub.example.org",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "149.165.1.2:22",
            "255.255.255.255",
        ] {
            assert!(ip(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_account_can_never_be_an_option() {
        assert!(user("ubuntu").is_ok());
        for text in ["-oProxyCommand=x", "a b", "root@host", "$(id)"] {
            assert!(user(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_jump_host_has_an_account_and_perhaps_a_port() {
        for (text, shown) in [
            ("root@10.0.0.9:2222", "root@10.0.0.9:2222"),
            ("root@10.0.0.9", "root@10.0.0.9:22"),
            ("op@Bastion.Example.ORG.:22", "op@bastion.example.org:22"),
            ("op@[2001:DB8:0::5]:2222", "op@[2001:db8::5]:2222"),
            ("op@[2001:db8::5]", "op@[2001:db8::5]:22"),
        ] {
            let jump = jump(text).unwrap();
            assert_eq!(jump.to_string(), shown);
            assert_eq!(super::jump(&jump.to_string()), Ok(jump));
        }
        for text in [
            "10.0.0.9",
            "@10.0.0.9",
            "op@",
            "op@:22",
            "op@10.0.0.9:0",
            "op@10.0.0.9:",
            "op@10.0.0.9:99999",
            "op@10.0.0",
            "op@2001:db8::5",
            "op@[2001:db8::5",
            "op@[2001:db8::5]22",
            "op@[zz]",
            "-oX@10.0.0.9",
            "op@-oProxyCommand=x",
            "op@a b",
            "op@$(id)",
            "op@0.0.0.0",
            "ssh://op@10.0.0.9",
            "a@b@c",
        ] {
            let problem = jump(text).unwrap_err();
            assert!(problem.contains('"'), "{text}: {problem}");
        }
        assert_eq!(unless_none("none", jump), Ok(None));
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in ".{0,40}") {
            let _ = (duration(&text), wait(&text), size(&text), memory(&text), ip(&text));
            let _ = (domain(&text), user(&text), image(&text), tag(&text), guard(&text));
            let _ = (jump(&text), jump(&format!("op@{text}")), agent(text.into()));
        }

        #[test]
        fn strange_numbers_are_no_trouble(number in "[0-9]{0,30}(\\.[0-9]{0,12})?", unit in "[a-zA-Z]{0,3}") {
            let text = format!("{number}{unit}");
            let _ = (duration(&text), size(&text));
        }
    }
}
