//! What `list` prints of a reference, and by what it sorts.

use std::cmp::Ordering;
use std::str::FromStr;

use reftable::escape::escaped;
use reftable::{ObjectId, Ref, Target};
use reftable_git::{Repository, Revisions, View};

use crate::failure::Failure;

/// A format, taken apart.
pub(super) struct Format {
    parts: Vec<Part>,
}

enum Part {
    Bytes(Vec<u8>),
    Field(Field),
}

/// A field, and how much of it is wanted.
struct Field {
    what: What,
    trim: Trim,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Name,
    Id,
    PeeledId,
    Type,
    Symref,
    Head,
}

#[derive(Clone, Copy)]
enum Trim {
    Nothing,
    Short,
    /// So many parts from the left; of less than nothing, so many are left.
    Left(i64),
    Right(i64),
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// Says what is not understood: a field that is not known, say.
    pub(super) fn parse(text: &[u8]) -> Result<Format, String> {
        let (mut parts, mut bytes, mut rest) = (Vec::new(), Vec::new(), text);
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            match (first, after) {
                (b'%', [b'(', after @ ..]) => {
                    let missing = || format!("malformed format string {}", escaped(after));
                    let end = after.iter().position(|byte| *byte == b')').ok_or_else(missing)?;
                    let (field, after) = after.split_at(end);
                    parts.push(Part::Bytes(std::mem::take(&mut bytes)));
                    parts.push(Part::Field(Field::parse(field)?));
                    rest = after.get(1..).unwrap_or_default();
                }
                (b'%', [b'%', after @ ..]) => {
                    bytes.push(b'%');
                    rest = after;
                }
                (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    let digits = [*high, *low];
                    let byte = std::str::from_utf8(&digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
                    bytes.extend(byte);
                    rest = after;
                }
                _ => bytes.push(*first),
            }
        }
        parts.push(Part::Bytes(bytes));
        Ok(Format { parts })
    }

    /// Appends what is wanted of `found`.
    pub(super) fn put(&self, line: &mut Vec<u8>, found: &Ref, known: &mut Known<'_>) -> Result<(), Failure> {
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => line.extend_from_slice(bytes),
                Part::Field(field) => line.extend_from_slice(&field.of(found, known)?),
            }
        }
        Ok(())
    }
}

/// What fields are looked up in.
pub(super) struct Known<'a> {
    view: &'a View,
    revisions: Revisions,
    /// The branch that `HEAD` leads to.
    head: Option<Vec<u8>>,
    /// What counts as short: see [`View::shorten`].
    is_strict: bool,
}

impl Known<'_> {
    pub(super) fn of<'a>(repo: &Repository, view: &'a View) -> Result<Known<'a>, Failure> {
        let head = match view.get(b"HEAD")?.map(|head| head.target) {
            Some(Target::Symbolic(name)) => Some(name),
            _ => None,
        };
        let warns = repo.config()?.map(|config| config.boolean("core.warnAmbiguousRefs")).transpose()?.flatten();
        Ok(Known { view, revisions: Revisions::of(repo), head, is_strict: warns.unwrap_or(true) })
    }

    /// Of a store that is in no repository.
    #[cfg(feature = "object-store")]
    pub(super) fn alone(view: &View) -> Result<Known<'_>, Failure> {
        let head = match view.get(b"HEAD")?.map(|head| head.target) {
            Some(Target::Symbolic(name)) => Some(name),
            _ => None,
        };
        let revisions = Revisions::without_objects(view.hash().unwrap_or_default());
        Ok(Known { view, revisions, head, is_strict: true })
    }

    /// The name that `found` leads to in the end, if it is symbolic.
    fn end_of(&self, found: &Ref) -> Option<Vec<u8>> {
        let Target::Symbolic(first) = &found.target else { return None };
        Some(self.view.follow(&found.name).map_or_else(|_| first.clone(), |chain| chain.name))
    }

    /// The object that `found` leads to.
    fn id(&self, found: &Ref) -> Option<ObjectId> {
        self.view.resolve(&found.name).ok().flatten()
    }

    /// The word for what `found` leads to; nothing where there are no objects.
    fn object_type(&mut self, found: &Ref) -> Result<&'static str, Failure> {
        let Some(id) = self.id(found).filter(|_| self.revisions.has_objects()) else { return Ok("") };
        let missing = || Failure::broken(format!("missing object {id} for {}", escaped(&found.name)));
        self.revisions.type_name(id)?.ok_or_else(missing)
    }
}

impl Field {
    fn parse(text: &[u8]) -> Result<Field, String> {
        let shown = escaped(text).to_string();
        let (name, option) = shown.split_once(':').unwrap_or((shown.as_str(), ""));
        let what = match name {
            "refname" => What::Name,
            "objectname" => What::Id,
            "*objectname" => What::PeeledId,
            "objecttype" => What::Type,
            "symref" => What::Symref,
            "HEAD" => What::Head,
            _ => return Err(format!("unknown field name: {name}")),
        };
        let has_parts = matches!(what, What::Name | What::Symref);
        let number = |text: &str| text.parse::<i64>().ok();
        let trim = match option.split_once('=') {
            None if option.is_empty() => Some(Trim::Nothing),
            None if option == "short" && has_parts => Some(Trim::Short),
            Some(("lstrip" | "strip", count)) if has_parts => number(count).map(Trim::Left),
            Some(("rstrip", count)) if has_parts => number(count).map(Trim::Right),
            _ => None,
        };
        let trim = trim.ok_or_else(|| format!("unrecognized %({name}) argument: {option}"))?;
        Ok(Field { what, trim })
    }

    fn of(&self, found: &Ref, known: &mut Known<'_>) -> Result<Vec<u8>, Failure> {
        let text = |id: Option<ObjectId>| id.map(|id| id.to_string().into_bytes()).unwrap_or_default();
        Ok(match self.what {
            What::Name => self.trimmed(&found.name, known)?,
            What::Symref => match known.end_of(found) {
                Some(name) => self.trimmed(&name, known)?,
                None => Vec::new(),
            },
            What::Id => text(known.id(found)),
            What::PeeledId => match (found.target.as_view().peeled(), known.id(found)) {
                (None, Some(id)) if known.revisions.has_objects() => text(known.revisions.peeled(id)?),
                (stored, _) => text(stored),
            },
            What::Type => known.object_type(found)?.as_bytes().to_vec(),
            What::Head => if known.head.as_ref() == Some(&found.name) { b"*" } else { b" " }.to_vec(),
        })
    }

    fn trimmed(&self, name: &[u8], known: &Known<'_>) -> Result<Vec<u8>, Failure> {
        let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
        let dropped = |count: i64| {
            let all = parts.len();
            let count = match usize::try_from(count) {
                Ok(count) => count,
                Err(_) => all.saturating_sub(usize::try_from(count.unsigned_abs()).unwrap_or(all)),
            };
            // What would leave nothing is left empty, as by git.
            count.min(all)
        };
        Ok(match self.trim {
            Trim::Nothing => name.to_vec(),
            Trim::Short if known.is_strict => known.view.shorten(name)?,
            Trim::Short => known.view.shorten_loosely(name)?,
            Trim::Left(count) => parts.get(dropped(count)..).unwrap_or_default().join(b"/".as_slice()),
            Trim::Right(count) => parts.get(..parts.len() - dropped(count)).unwrap_or_default().join(b"/".as_slice()),
        })
    }
}

/// By what references are sorted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    what: KeyOf,
    is_reversed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyOf {
    Name,
    Id,
    Type,
    Symref,
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Key, String> {
        let (name, is_reversed) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        let what = match name {
            "refname" => KeyOf::Name,
            "objectname" => KeyOf::Id,
            "objecttype" => KeyOf::Type,
            "symref" => KeyOf::Symref,
            _ => return Err(format!("unknown field name: {name}")),
        };
        Ok(Key { what, is_reversed })
    }
}

impl Key {
    /// Sorts by all keys, the last of which counts most, and then by name.
    pub(super) fn sort(
        keys: &[Key],
        ignores_case: bool,
        refs: &mut Vec<Ref>,
        known: &mut Known<'_>,
    ) -> Result<(), Failure> {
        let mut rows = Vec::with_capacity(refs.len());
        for found in refs.drain(..) {
            let mut values = Vec::with_capacity(keys.len());
            for key in keys.iter().rev() {
                values.push(key.value(&found, known)?);
            }
            values.push(found.name.clone());
            if ignores_case {
                values.iter_mut().for_each(|value| value.make_ascii_lowercase());
            }
            rows.push((values, found));
        }
        rows.sort_by(|(left, found), (right, other)| {
            let directions = keys.iter().rev().map(|key| key.is_reversed).chain([false]);
            let by_keys = left
                .iter()
                .zip(right)
                .zip(directions)
                .map(|((left, right), is_reversed)| if is_reversed { right.cmp(left) } else { left.cmp(right) });
            by_keys.fold(Ordering::Equal, Ordering::then).then_with(|| found.name.cmp(&other.name))
        });
        refs.extend(rows.into_iter().map(|(_, found)| found));
        Ok(())
    }

    fn value(self, found: &Ref, known: &mut Known<'_>) -> Result<Vec<u8>, Failure> {
        Ok(match self.what {
            KeyOf::Name => found.name.clone(),
            KeyOf::Id => known.id(found).map(|id| id.to_string().into_bytes()).unwrap_or_default(),
            KeyOf::Type => known.object_type(found)?.as_bytes().to_vec(),
            KeyOf::Symref => known.end_of(found).unwrap_or_default(),
        })
    }
}
