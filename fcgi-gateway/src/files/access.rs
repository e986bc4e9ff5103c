//! What may be sent when the server runs as root, whom the system refuses nothing.
//!
//! A file is then sent if everybody may read it, or if the document root's owner or group may: a server that ran as
//! the site's user, as it should, could read it too. Files of root that nobody else may read stay unseen.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses a file below `root` that the root's owner could not read, or reach.
pub(super) fn check(root: &Path, file: &Path, opened: &Metadata) -> io::Result<()> {
    let top = root.metadata()?;
    let visitor = Visitor::of(&top);
    let mut is_allowed = visitor.has(READ, opened) && visitor.has(ENTER, &top);
    let below = |folder: &&Path| *folder != root && folder.starts_with(root);
    for folder in file.ancestors().skip(1).take_while(below) {
        is_allowed &= visitor.has(ENTER, &folder.metadata()?);
    }
    if is_allowed { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// In whose place a file is judged. Root's own rights are nobody's here.
struct Visitor {
    user: Option<u32>,
    group: Option<u32>,
}

impl Visitor {
    fn of(root: &Metadata) -> Self {
        let unless_root = |id| Some(id).filter(|&id| id != 0);
        Self { user: unless_root(root.uid()), group: unless_root(root.gid()) }
    }

    /// As the system decides: the first class that fits counts.
    fn has(&self, right: u32, of: &Metadata) -> bool {
        let shift = if self.user == Some(of.uid()) {
            6
        } else if self.group == Some(of.gid()) {
            3
        } else {
            0
        };
        of.mode() >> shift & right != 0
    }
}

const READ: u32 = 0o4;
const ENTER: u32 = 0o1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    #[test]
    fn rights() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        fs::write(&file, "x").unwrap();
        let (user, group) = (file.metadata().unwrap().uid(), file.metadata().unwrap().gid());
        let visitor = |user, group| Visitor { user, group };
        for (mode, visitor, may_read) in [
            (0o600, visitor(Some(user), None), true),
            (0o600, visitor(Some(user + 1), None), false),
            (0o600, visitor(None, None), false),
            (0o640, visitor(Some(user + 1), Some(group)), true),
            (0o640, visitor(Some(user + 1), Some(group + 1)), false),
            (0o604, visitor(None, None), true),
            (0o604, visitor(Some(user + 1), Some(group)), false),
            (0o044, visitor(Some(user), Some(group)), false),
        ] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            assert_eq!(visitor.has(READ, &file.metadata().unwrap()), may_read, "{mode:o}");
        }
    }

    #[test]
    fn files_and_the_folders_above_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::set_permissions(root, Permissions::from_mode(0o755)).unwrap();
        if chown(root, Some(12345), Some(12345)).is_err() {
            return; // nobody but root has this question
        }
        let private = root.join("private");
        fs::create_dir(&private).unwrap();
        for (file, mode, folder_mode, is_allowed) in [
            (root.join("a"), 0o644, 0o700, true),
            (root.join("b"), 0o600, 0o700, false),
            (private.join("c"), 0o644, 0o700, false),
            (private.join("c"), 0o644, 0o711, true),
        ] {
            fs::write(&file, "x").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            fs::set_permissions(&private, Permissions::from_mode(folder_mode)).unwrap();
            let result = check(root, &file, &file.metadata().unwrap());
            assert_eq!(result.is_ok(), is_allowed, "{} {mode:o} {folder_mode:o}", file.display());
        }
    }
}
