//! HSDS.
use super::{ImportError, Reading};
pub(super) fn read(_file: &str, _text: &str, _reading: &mut Reading<'_>) -> Result<(), ImportError> {
    Ok(())
}
