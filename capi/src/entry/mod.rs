//! The functions whose parameters differ between the gits that this library fits. One file a git,
//! chosen when the library is built; what they do is in the files of their topics.

#[cfg(feature = "git-2-55")]
mod git_2_55;
#[cfg(not(feature = "git-2-55"))]
mod master;
