//! Names as `bstr` has them, which shows them as text. With the feature `bstr`.

pub use ::bstr::BStr;

use crate::batch::Change;
use crate::upstream::Upstream;
use crate::view::{Chain, Head};

/// What has the name of a reference.
///
/// ```
/// use reftable_git::Change;
/// use reftable_git::bstr::Named;
///
/// let change = Change::delete("refs/heads/main", reftable::Expect::Any);
/// assert_eq!(format!("{}", change.name_bstr()), "refs/heads/main");
/// ```
pub trait Named {
    /// The full name.
    fn name_bstr(&self) -> &BStr;
}

macro_rules! named {
    ($($type:ty),+) => {
        $(impl Named for $type {
            fn name_bstr(&self) -> &BStr {
                BStr::new(&self.name)
            }
        })+
    };
}

named!(Chain, Change, reftable::Conflict, reftable::Ref, reftable::RefView<'_>, reftable::Replaced);

impl Head {
    /// [`Head::branch`] as `bstr` has it.
    #[must_use]
    pub fn branch_bstr(&self) -> Option<&BStr> {
        self.branch().map(BStr::new)
    }
}

impl Upstream {
    /// The reference here that says where the branch was, as `bstr` has it.
    #[must_use]
    pub fn tracking_bstr(&self) -> Option<&BStr> {
        self.tracking.as_deref().map(BStr::new)
    }
}
