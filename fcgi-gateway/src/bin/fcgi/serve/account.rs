//! Whose rights are left once the ports are open.

use core::str::FromStr;
use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Group, Uid, User};

use super::ServeError;

/// A user, and a group if it is not the user's own, by name or number: `www-data`, `site:www-data`, `1000:1000`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    user: String,
    group: Option<String>,
}

impl FromStr for Account {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        if user.is_empty() || group.is_some_and(str::is_empty) || text.contains('\0') {
            return Err("expected a user, or user:group");
        }
        Ok(Self { user: user.to_owned(), group: group.map(str::to_owned) })
    }
}

/// An account of this machine.
#[derive(Debug)]
pub(super) struct Known {
    uid: Uid,
    gid: Gid,
    /// Where the system knows it; what else it belongs to is listed by name.
    name: Option<CString>,
}

impl Account {
    /// Finds it, and finds what would keep us from becoming it.
    pub(super) fn look_up(&self) -> Result<Known, ServeError> {
        let known = self.find().map_err(|problem| ServeError::Config(format!("user {problem}")))?;
        if !Uid::effective().is_root()
            && (known.uid, known.gid) != (Uid::effective(), Gid::effective())
        {
            let user = &self.user;
            return Err(ServeError::Config(format!(
                "user {user}: only root can become somebody else; start it as {user} instead, without this setting"
            )));
        }
        Ok(known)
    }

    fn find(&self) -> Result<Known, String> {
        let name = &self.user;
        let failed = |error: nix::Error| format!("{name}: {error}");
        let user = match name.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)).map_err(failed)?,
            Err(_) => User::from_name(name).map_err(failed)?,
        };
        let uid = match (&user, name.parse()) {
            (Some(user), _) => user.uid,
            (None, Ok(number)) => Uid::from_raw(number),
            (None, Err(_)) => return Err(format!("{name}: this machine knows no such user")),
        };
        let gid = match (&self.group, &user) {
            (Some(group), _) => find_group(group)?,
            (None, Some(user)) => user.gid,
            (None, None) => {
                return Err(format!(
                    "{name}: this machine knows no such user, so name the group as well: {name}:GROUP"
                ));
            }
        };
        let name = user.and_then(|user| CString::new(user.name).ok());
        Ok(Known { uid, gid, name })
    }
}

fn find_group(name: &str) -> Result<Gid, String> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!("group {name}: this machine knows no such group")),
        Err(error) => Err(format!("group {name}: {error}")),
    }
}

impl Known {
    /// Gives up all rights but those of this account, in every thread, for good.
    pub(super) fn take(&self) -> io::Result<()> {
        if !Uid::effective().is_root() {
            return Ok(()); // it is us already
        }
        // In this order: who is no longer root may change neither groups nor user.
        self.set_groups()?;
        nix::unistd::setgid(self.gid)?;
        nix::unistd::setuid(self.uid)?;
        Ok(())
    }

    #[cfg(not(target_vendor = "apple"))]
    fn set_groups(&self) -> io::Result<()> {
        match &self.name {
            Some(name) => nix::unistd::initgroups(name, self.gid)?,
            None => nix::unistd::setgroups(&[self.gid])?,
        }
        Ok(())
    }

    #[cfg(target_vendor = "apple")]
    fn set_groups(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<(u32, u32, bool), String> {
        let known = text.parse::<Account>().unwrap().find()?;
        Ok((known.uid.as_raw(), known.gid.as_raw(), known.name.is_some()))
    }

    #[test]
    fn by_name_and_by_number() {
        assert_eq!(find("root"), Ok((0, 0, true)));
        assert_eq!(find("0:54321"), Ok((0, 54321, true)));
        assert_eq!(find("54321:root"), Ok((54321, 0, false)));
        assert!(find("54321").unwrap_err().contains("54321:GROUP"));
        assert!(find("no-such-user").unwrap_err().contains("no such user"));
        assert!(find("root:no-such-group").unwrap_err().contains("no such group"));
        for text in ["", ":root", "root:", "a\0b"] {
            assert!(text.parse::<Account>().is_err(), "{text:?}");
        }
    }
}
