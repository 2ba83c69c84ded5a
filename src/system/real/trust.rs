//! Whether a path can be relied on: that nobody but root and the user it runs as could have put a link or another file in the way.
//!
//! The rule is that of OpenSSH's `StrictModes`, for every directory from the root down, and for what a link points at as
//! well as for the place where the link stands.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::file_error;
use crate::system::SystemError;

/// Whose files a user namespace shows as nobody's: those of users outside of it.
const UNMAPPED: u32 = 65534;

/// Refuses a path that others could lead elsewhere. What is not there yet cannot be led.
pub fn relied_on(path: &Path) -> Result<(), SystemError> {
    let mut seen: Vec<PathBuf> = vec![path.to_owned()];
    seen.extend(fs::canonicalize(path));
    for path in &seen {
        for part in path.ancestors() {
            if let Some(why) = open_to_others(part) {
                let source = io::Error::new(io::ErrorKind::PermissionDenied, why);
                return Err(file_error("rely on", path)(source));
            }
        }
    }
    Ok(())
}

/// Who could put something else in the place of what a directory holds, in words.
fn open_to_others(path: &Path) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    // Whoever became root by sudo is a stranger as well: the guard, which has no such environment, would take them for one
    // and find no journal to undo.
    let stranger = |uid: u32| ![0, own, UNMAPPED].contains(&uid);
    let group = rustix::process::getegid().as_raw();
    let told = |what: &str| Some(format!("{} {what}", path.display()));
    // The link itself, where it is one, and what it points at.
    for meta in [fs::symlink_metadata(path), fs::metadata(path)]
        .into_iter()
        .flatten()
    {
        if stranger(meta.uid()) {
            return told(&format!("belongs to user {}", meta.uid()));
        }
        let mode = meta.permissions().mode();
        // Where the sticky bit is set, others cannot replace what is not theirs.
        let by_group = mode & 0o020 != 0 && ![0, group].contains(&meta.gid());
        let writable = (mode & 0o002 != 0 || by_group) && mode & 0o1000 == 0;
        if meta.is_dir() && writable {
            return told("can be written by other users");
        }
    }
    None
}

/// Takes a directory away from everybody but its owner.
pub fn seclude(dir: &Path) -> Result<(), SystemError> {
    relied_on(dir)?;
    let narrow = || {
        let mut permissions = fs::metadata(dir)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(permissions.mode() & 0o700);
            fs::set_permissions(dir, permissions)?;
        }
        Ok(())
    };
    narrow().map_err(file_error("keep others out of", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    #[test]
    fn a_way_that_others_could_change_is_not_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let (own, shared) = (dir.path().join("own"), dir.path().join("shared"));
        for one in [&own, &shared] {
            fs::create_dir(one).expect("made");
        }
        let state = own.join("state");
        fs::create_dir(&state).expect("made");
        set_mode(&state, 0o755);
        seclude(&state).expect("nobody else's");
        assert_eq!(
            fs::metadata(&state).expect("there").permissions().mode() & 0o777,
            0o700
        );
        assert!(relied_on(&own.join("not there yet")).is_ok());

        set_mode(&shared, 0o777);
        let error = relied_on(&shared.join("file")).expect_err("refused").to_string();
        assert!(error.contains("shared can be written by other users"), "{error}");
        // A link of the caller in a directory of the caller is fine, wherever it stands it is not where others write.
        let link = own.join("link");
        symlink(&state, &link).expect("made");
        assert!(relied_on(&link).is_ok());
        let link = own.join("to the shared one");
        symlink(shared.join("file"), &link).expect("made");
        fs::write(shared.join("file"), "").expect("written");
        let error = relied_on(&link).expect_err("refused").to_string();
        assert!(error.contains("other users"), "{error}");
        // Others may add files where the sticky bit is set, and not replace ours.
        set_mode(&shared, 0o1777);
        assert!(relied_on(&link).is_ok());
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_relied_on() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let link = dir.path().join("link");
        symlink("/etc", &link).expect("made");
        assert!(relied_on(&link).is_ok());
        std::os::unix::fs::lchown(&link, Some(1000), Some(1000)).expect("given away");
        let error = relied_on(&link).expect_err("refused").to_string();
        assert!(error.contains("belongs to user 1000"), "{error}");
        assert!(seclude(&link).is_err());
    }
}
