//! Whose rights PHP gets when the gateway itself runs as root.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Decides whose rights PHP gets.
///
/// - An ordinary user cannot give rights to somebody else: `None`, PHP runs as that user.
/// - Root gives PHP the rights of the site's owner, so that it can write where the owner can.
/// - When root owns the site too, PHP gets those of the machine's web user.
/// - When that user may not even enter the site's folder, only root's own are left. The files then
///   are root's alone, so nobody else can have put code there; the log warns all the same.
pub(super) fn user_for(root: &Path) -> Option<User> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let owner = root.metadata().ok().filter(|metadata| metadata.uid() != 0);
    if let Some(owner) = owner {
        return Some(User { uid: owner.uid(), gid: owner.gid() });
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    match web_user(&passwd) {
        Some(user) if can_enter(user, root) => Some(user),
        _ => {
            tracing::warn!("PHP runs as root, because only root can read the site's folder");
            Some(User { uid: 0, gid: 0 })
        }
    }
}

/// Debian and Alpine, Fedora, Arch, macOS, and what every Unix has.
const WEB_USERS: [&str; 6] = ["www-data", "apache", "nginx", "http", "_www", "nobody"];

fn web_user(passwd: &str) -> Option<User> {
    WEB_USERS.iter().find_map(|name| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == *name).then_some(())?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(User { uid, gid })
        })
    })
}

/// Whether the user may pass every folder down to `folder`, which is absolute.
fn can_enter(user: User, folder: &Path) -> bool {
    folder.ancestors().all(|place| {
        place.metadata().is_ok_and(|metadata| {
            let may_enter = if metadata.uid() == user.uid {
                0o100
            } else if metadata.gid() == user.gid {
                0o010
            } else {
                0o001
            };
            metadata.mode() & may_enter != 0
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn web_users() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:\nwww-data:x:33:34::/var/www:\n";
        assert_eq!(web_user(passwd), Some(User { uid: 33, gid: 34 }));
        assert_eq!(web_user("nobody:x:99:98::/:\n"), Some(User { uid: 99, gid: 98 }));
        assert_eq!(web_user("www-data\n"), None);
    }

    #[test]
    fn entering_needs_every_folder_above() {
        let stranger = User { uid: 54321, gid: 54321 };
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("site");
        fs::create_dir(&inner).unwrap();
        let set_mode = |place: &Path, mode| {
            fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
        };
        set_mode(&inner, 0o755);
        set_mode(folder.path(), 0o700);
        assert!(!can_enter(stranger, &inner));
        set_mode(folder.path(), 0o711);
        assert!(can_enter(stranger, &inner));
    }
}
