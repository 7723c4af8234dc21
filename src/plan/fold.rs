//! What is equal, together: so that the output of many hubs is read once.

use std::collections::HashMap;
use std::hash::Hash;

/// The places of equal keys, group by group. Within a group and among groups (by their first place) the order stays.
pub fn fold<K: Eq + Hash>(keys: &[K]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut of_key: HashMap<&K, usize> = HashMap::new();
    for (place, key) in keys.iter().enumerate() {
        let group = *of_key.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(place);
    }
    groups
}

/// The same with the most frequent first, which the others are held against; of several the one that comes first.
pub fn most_frequent_first(mut groups: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let most = groups.iter().map(Vec::len).max().unwrap_or(0);
    if let Some(place) = groups.iter().position(|group| group.len() == most) {
        groups[..=place].rotate_right(1);
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn groups_are_in_the_order_of_their_first_and_the_most_frequent_comes_first_where_it_is_asked_for() {
        let groups = fold(&["a", "b", "c", "b", "c"]);
        assert_eq!(groups, [vec![0], vec![1, 3], vec![2, 4]]);
        assert_eq!(most_frequent_first(groups), [vec![1, 3], vec![0], vec![2, 4]]);
        assert_eq!(most_frequent_first(fold::<u8>(&[])), Vec::<Vec<usize>>::new());
    }

    proptest! {
        #[test]
        fn everybody_is_in_one_group_with_all_that_are_equal_and_nobody_else(
            keys in prop::collection::vec(0_u16..5, 0..30),
        ) {
            let groups = fold(&keys);
            let mut places: Vec<usize> = groups.concat();
            places.sort_unstable();
            prop_assert_eq!(places, (0..keys.len()).collect::<Vec<_>>());
            for group in &groups {
                prop_assert!(group.windows(2).all(|pair| pair[0] < pair[1]));
                prop_assert!(group.iter().all(|place| keys[*place] == keys[group[0]]));
                prop_assert_eq!(group.len(), keys.iter().filter(|key| **key == keys[group[0]]).count());
            }
            prop_assert!(groups.windows(2).all(|pair| pair[0][0] < pair[1][0]));
            let sorted = most_frequent_first(groups.clone());
            prop_assert!(sorted.iter().all(|group| group.len() <= sorted[0].len()));
            let rest: Vec<_> = groups.into_iter().filter(|group| sorted.first() != Some(group)).collect();
            prop_assert_eq!(sorted.get(1..).unwrap_or_default(), rest.as_slice());
        }
    }
}
