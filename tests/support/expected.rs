//! Expected files: compared, or rewritten with `UPDATE_GOLDEN=1`.

use std::path::Path;

/// Panics with both texts if the file says something else.
pub fn check(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} is not what was expected; if it is right, run the tests with UPDATE_GOLDEN=1\n\
         --- expected\n{expected}\n--- actual\n{actual}",
        path.display()
    );
}
