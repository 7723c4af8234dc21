//! Maps in which no key comes twice. A parser that takes the last of two says nothing of the first, and with it a volume's id, or
//! somebody's wish to keep it, would be gone.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

/// For `#[serde(deserialize_with)]`: a key that comes twice is an error.
pub(super) fn map<'de, D, V>(deserializer: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Unique<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = entries.next_entry::<String, V>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format_args!("{key:?} comes twice")));
                }
                map.insert(key, value);
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "map")]
        spec: BTreeMap<String, Box<serde_json::value::RawValue>>,
    }

    #[test]
    fn a_key_that_comes_twice_is_an_error_and_not_the_last_of_two() {
        let read = |text: &str| serde_json::from_str::<Holder>(text).map(|holder| holder.spec.len());
        assert_eq!(read(r#"{"spec": {"a": {"id": 1}, "b": {"id": 1}}}"#).unwrap(), 2);
        assert_eq!(read(r#"{"spec": {}}"#).unwrap(), 0);
        let twice = read(r#"{"spec": {"csi": {"volumeHandle": "x"}, "b": 1, "csi": {}}}"#);
        assert!(twice.unwrap_err().to_string().starts_with("\"csi\" comes twice"));
        assert!(read(r#"{"spec": [1]}"#).is_err());
    }
}
