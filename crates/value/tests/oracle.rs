//! Any value comes back as it was, and an independent codec reads what we write.

use myelin_value::{BigInt, Map, Value, msgpack};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i128>().prop_map(|wide| Value::from(BigInt::from(wide) * BigInt::from(wide))),
        any::<i128>().prop_map(Value::from),
        any::<u64>().prop_map(|bits| Value::from(f64::from_bits(bits))),
        ".{0,40}".prop_map(Value::from),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|byts| Value::from(&byts[..])),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            proptest::collection::vec((".{0,8}", inner), 0..20)
                .prop_map(|rows| Value::from(rows.into_iter().collect::<Map>())),
        ]
    })
}

proptest! {
    #[test]
    fn values_come_back(valu in values()) {
        let byts = msgpack::encode(&valu);
        prop_assert_eq!(msgpack::decode(&byts).expect("our own bytes"), valu);
        prop_assert!(rmpv::decode::read_value(&mut &byts[..]).is_ok());
        let mut reader = msgpack::Reader::new(&byts);
        prop_assert_eq!(reader.skip().expect("our own bytes").len(), byts.len());
    }

    #[test]
    fn any_bytes_are_read_or_refused(byts in proptest::collection::vec(any::<u8>(), 0..200)) {
        let whole = msgpack::decode(&byts);
        if let Ok(valu) = whole {
            prop_assert_eq!(msgpack::decode(&msgpack::encode(&valu)).expect("our own bytes"), valu);
        }
    }
}
