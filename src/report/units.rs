//! Durations and sizes as people write them.

use std::time::Duration;

use jiff::Timestamp;

/// `250ms`, `30s`, `15m`, `24h`, `7d`: the largest unit that loses nothing, as `fleet.toml` takes it.
pub fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let seconds = duration.as_secs();
    if !millis.is_multiple_of(1000) {
        return if seconds == 0 { format!("{millis}ms") } else { format!("{:.1}s", duration.as_secs_f64()) };
    }
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds >= length && seconds.is_multiple_of(length) {
            return format!("{}{unit}", seconds / length);
        }
    }
    format!("{seconds}s")
}

/// How long ago something was, as kubectl shows ages: `45s`, `10m`, `5h`, `17d`. `-` where it is not known.
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    let Some(since) = since else { return "-".to_owned() };
    let seconds = now.duration_since(since).as_secs();
    match seconds {
        ..0 => "in the future".to_owned(),
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Bytes in the unit in which they are a number of up to four digits, rounded down: `312 B`, `4.5 KiB`, `1023 MiB`.
pub fn bytes(bytes: u64) -> String {
    let (mut unit, mut size) = ("B", 1);
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if bytes / size < 1024 {
            break;
        }
        (unit, size) = (larger, size * 1024);
    }
    let (whole, tenths) = (bytes / size, bytes % size * 10 / size);
    if tenths > 0 && whole < 10 { format!("{whole}.{tenths} {unit}") } else { format!("{whole} {unit}") }
}

/// Bytes in GiB: whole numbers as such, others with one decimal.
pub fn gib(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    if bytes.is_multiple_of(GIB) {
        return (bytes / GIB).to_string();
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(GIB) / 2) / u128::from(GIB);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_a_unit_of_their_size() {
        let told = [0, 1023, 1024, 4608, 10 << 20, (1 << 30) - 1, 3 << 40].map(bytes);
        assert_eq!(told, ["0 B", "1023 B", "1 KiB", "4.5 KiB", "10 MiB", "1023 MiB", "3 TiB"]);
    }

    #[test]
    fn durations_are_written_in_the_largest_unit_that_loses_nothing() {
        let written = |millis| duration(Duration::from_millis(millis));
        assert_eq!(written(250), "250ms");
        assert_eq!(written(1_500), "1.5s");
        assert_eq!(written(90_000), "90s");
        assert_eq!(written(86_400_000), "1d");
        assert_eq!(written(25 * 3_600_000), "25h");
    }

    #[test]
    fn an_age_that_is_not_known_is_not_zero() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(age(None, now), "-");
        assert_eq!(age(Timestamp::from_second(999_955).ok(), now), "45s");
        assert_eq!(age(Timestamp::from_second(1_000_000 - 17 * 86_400).ok(), now), "17d");
        assert_eq!(age(Timestamp::from_second(1_000_001).ok(), now), "in the future");
    }

    #[test]
    fn sizes_are_in_gib() {
        assert_eq!(gib(10 << 30), "10");
        assert_eq!(gib(1 << 29), "0.5");
        assert_eq!(gib(0), "0");
    }
}
