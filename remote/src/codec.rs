//! Values as bytes, by postcard, within a bound.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Appends a value.
pub(crate) fn append<T: Serialize>(value: &T, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    postcard::to_extend(value, bytes).map_err(|error| Error::Encode(error.to_string()))
}

/// The first value of the bytes, and the rest of them.
pub(crate) fn read_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), Error> {
    postcard::take_from_bytes(bytes).map_err(|error| Error::Decode(error.to_string()))
}

/// The one value that the bytes are.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    match read_first(bytes)? {
        (value, []) => Ok(value),
        (_, rest) => Err(Error::Decode(format!("{} bytes are left over", rest.len()))),
    }
}

pub(crate) const fn check_size(bytes: usize, limit: usize) -> Result<(), Error> {
    if bytes > limit { Err(Error::TooLarge { bytes, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_is_read_as_it_was_written(value: (u64, String, Option<Vec<i16>>)) {
            let bytes = append(&value, vec![]).unwrap();
            prop_assert_eq!(read::<(u64, String, Option<Vec<i16>>)>(&bytes).unwrap(), value);
        }

        #[test]
        fn other_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            if let Err(error) = read::<(u64, String, Vec<String>)>(&bytes) {
                prop_assert!(matches!(error, Error::Decode(_)));
            }
        }
    }

    #[test]
    fn bytes_that_are_left_over_are_an_error() {
        let error = read::<u8>(&[1, 2]).unwrap_err();
        assert!(error.to_string().contains("1 bytes are left over"), "{error}");
    }
}
