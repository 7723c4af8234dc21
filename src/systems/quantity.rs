//! Kubernetes quantities: `10Gi`, `500M`, `1e3`, `1500m`.

/// The bytes that a quantity stands for, rounded up as Kubernetes does. `None` where it is no quantity, is negative, or
/// does not fit.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (digits, decimals) = decimal(number)?;
    let (factor, exponent) = scale(suffix)?;
    scaled(digits.checked_mul(factor)?, exponent.checked_sub(decimals)?)
}

/// A decimal number as its digits and how many of them stand behind the point.
fn decimal(number: &str) -> Option<(u128, i32)> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, i32::try_from(fraction.len()).ok()?))
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(u128, i32)> {
    let binary = |power: u32| Some((1u128 << (10 * power), 0));
    match suffix {
        "" => Some((1, 0)),
        "n" => Some((1, -9)),
        "u" => Some((1, -6)),
        "m" => Some((1, -3)),
        "k" => Some((1, 3)),
        "M" => Some((1, 6)),
        "G" => Some((1, 9)),
        "T" => Some((1, 12)),
        "P" => Some((1, 15)),
        "E" => Some((1, 18)),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Some((1, exponent.parse().ok()?))
        }
    }
}

/// `digits` times ten to the power of `exponent`, rounded up.
fn scaled(digits: u128, exponent: i32) -> Option<u64> {
    if digits == 0 {
        return Some(0);
    }
    let power = 10u128.checked_pow(exponent.unsigned_abs());
    let value = if exponent < 0 {
        // A divisor that does not fit is larger than any digits: what is left rounds up to one byte.
        power.map_or(1, |power| digits.div_ceil(power))
    } else {
        digits.checked_mul(power?)?
    };
    u64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("10Gi", 10 << 30),
            ("1Ti", 1 << 40),
            ("500M", 500_000_000),
            ("1e3", 1000),
            ("1E3", 1000),
            ("1e+3", 1000),
            ("12E", 12_000_000_000_000_000_000),
            ("5368709120", 5_368_709_120),
            ("1500m", 2),
            ("1n", 1),
            ("0", 0),
            ("1.5Gi", 3 << 29),
            (".5Ki", 512),
            ("5.k", 5000),
            ("+5k", 5000),
            ("1e-400", 1),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_has_no_size() {
        for text in [
            "", ".", "Gi", "-1Gi", "1gi", "1KiB", "1 Gi", "1.2.3", "0x10", "e3", "1e", "99Ei", "1e400", "ten",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn plain_numbers_stand_for_themselves(n: u64) {
            prop_assert_eq!(bytes(&n.to_string()), Some(n));
        }

        #[test]
        fn binary_suffixes_multiply(n in 0u64..1 << 20, power in 1usize..=4) {
            let suffix = ["Ki", "Mi", "Gi", "Ti"][power - 1];
            prop_assert_eq!(bytes(&format!("{n}{suffix}")), Some(n << (10 * power)));
        }

        #[test]
        fn thousandths_round_up(n: u64) {
            prop_assert_eq!(bytes(&format!("{n}m")), Some(n.div_ceil(1000)));
        }

        #[test]
        fn no_text_brings_it_down(text in "\\PC*") {
            let _ = bytes(&text);
        }

        #[test]
        fn no_number_brings_it_down(text in "[+-]?[0-9.]{0,60}([a-zA-Z]{0,2}|[eE][+-]?[0-9]{0,12})") {
            let _ = bytes(&text);
        }
    }
}
