//! Storage type codes: how a layer indexes a property's value.
//!
//! The numbers are on disk and on the wire (lift operations, sode property entries); they never change.

use std::fmt;

/// A storage type code, with [`StorType::ARRAY`] set for arrays of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorType(pub u16);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal;)*) => {
        impl StorType {
            $($(#[$doc])* pub const $name: StorType = StorType($code);)*

            /// The name of the code without the array flag, when it is known.
            pub fn name(self) -> Option<&'static str> {
                match self.item() {
                    $(StorType::$name => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Text.
    UTF8 = 1 "utf8";
    /// Unsigned, 8 bits.
    U8 = 2 "u8";
    /// Unsigned, 16 bits.
    U16 = 3 "u16";
    /// Unsigned, 32 bits.
    U32 = 4 "u32";
    /// Unsigned, 64 bits.
    U64 = 5 "u64";
    /// Signed, 8 bits.
    I8 = 6 "i8";
    /// Signed, 16 bits.
    I16 = 7 "i16";
    /// Signed, 32 bits.
    I32 = 8 "i32";
    /// Signed, 64 bits.
    I64 = 9 "i64";
    /// Sixteen bytes.
    GUID = 10 "guid";
    /// Epoch milliseconds.
    TIME = 11 "time";
    /// A pair of times.
    IVAL = 12 "ival";
    /// Anything, by the hash of its encoding.
    MSGP = 13 "msgp";
    /// A point on the globe.
    LATLONG = 14 "latlong";
    /// Dotted location.
    LOC = 15 "loc";
    /// A tag (its interval).
    TAG = 16 "tag";
    /// A domain name, reversed.
    FQDN = 17 "fqdn";
    /// An IPv6 address.
    IPV6 = 18 "ipv6";
    /// Unsigned, 128 bits.
    U128 = 19 "u128";
    /// Signed, 128 bits.
    I128 = 20 "i128";
    /// A time that only moves back.
    MINTIME = 21 "mintime";
    /// A double.
    FLOAT64 = 22 "float64";
    /// A decimal of up to 49 digits.
    HUGENUM = 23 "hugenum";
    /// A time that only moves on.
    MAXTIME = 24 "maxtime";
    /// A form and a value.
    NDEF = 25 "ndef";
}

impl StorType {
    /// The flag that says "an array of".
    pub const ARRAY: u16 = 0x8000;

    /// The code of an array of this.
    #[must_use]
    pub fn array(self) -> StorType {
        StorType(self.0 | StorType::ARRAY)
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.0 & StorType::ARRAY != 0
    }

    /// The code of the items: the code without the array flag.
    #[must_use]
    pub fn item(self) -> StorType {
        StorType(self.0 & !StorType::ARRAY)
    }

    /// The number.
    pub fn code(self) -> u16 {
        self.0
    }
}

impl From<StorType> for myelin_value::Value {
    fn from(stor: StorType) -> myelin_value::Value {
        myelin_value::Value::from(stor.0)
    }
}

impl fmt::Debug for StorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) if self.is_array() => write!(f, "{name}[]"),
            Some(name) => f.write_str(name),
            None => write!(f, "StorType({})", self.0),
        }
    }
}
