//! Which hubs are at work when, where not all of them are to be at once.

/// Rounds of places: the canary alone, then so many at a time. Each round is begun only where all went well before.
pub fn rounds(hubs: usize, canary: Option<usize>, serial: Option<usize>) -> Vec<Vec<usize>> {
    let rest: Vec<usize> = (0..hubs).filter(|place| Some(*place) != canary).collect();
    let size = serial.unwrap_or(hubs).max(1);
    let canary = canary.filter(|place| *place < hubs).map(|place| vec![place]);
    canary.into_iter().chain(rest.chunks(size).map(<[usize]>::to_vec)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_canary_is_alone_and_first() {
        assert_eq!(rounds(5, Some(3), Some(2)), [vec![3], vec![0, 1], vec![2, 4]]);
        assert_eq!(rounds(3, Some(0), None), [vec![0], vec![1, 2]]);
        assert_eq!(rounds(3, None, None), [vec![0, 1, 2]]);
        assert_eq!(rounds(1, Some(0), Some(1)), [vec![0]]);
    }

    proptest! {
        #[test]
        fn every_hub_has_its_turn_once_and_no_round_is_larger_than_asked_for(
            hubs in 0_usize..20,
            canary in prop::option::of(0_usize..20),
            serial in prop::option::of(1_usize..8),
        ) {
            let rounds = rounds(hubs, canary, serial);
            let mut all = rounds.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..hubs).collect::<Vec<_>>());
            prop_assert!(rounds.iter().all(|round| !round.is_empty() && round.len() <= serial.unwrap_or(hubs)));
            if let Some(canary) = canary.filter(|place| *place < hubs) {
                prop_assert_eq!(&rounds[0], &vec![canary]);
            }
        }
    }
}
