//! No loop of imports leaves a folder of `src/`; there are no exceptions.

use std::collections::BTreeSet;

use super::imports::{Crate, Imports, module_path, sources};

impl Crate {
    /// The folder of a module is where its children are, or else where its file is.
    fn folder(&self, file: &str) -> String {
        let mut module = module_path(file);
        let has_children = self.files.keys().any(|other| other.len() > module.len() && other.starts_with(&module));
        if !has_children {
            module.pop();
        }
        module.join("/")
    }

    /// The imports that are part of a loop and lead to another folder.
    fn loops(&self) -> Vec<String> {
        let edges = self.imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
        edges
            .filter(|(from, to)| self.folder(from) != self.folder(to) && reaches(&self.imports, to, from))
            .map(|(from, to)| format!("{from} -> {to}"))
            .collect()
    }
}

fn reaches(imports: &Imports, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(imports.get(file).into_iter().flatten().map(String::as_str).filter(|file| seen.insert(file)));
    }
    seen.contains(to)
}

#[test]
fn no_loop_of_imports_leaves_a_folder() {
    let loops = Crate::new(&sources()).loops();
    assert!(loops.is_empty(), "imports that go round between folders: {loops:#?}");
}

#[test]
fn loops_are_found_through_names_that_are_handed_on() {
    let source = |(file, code): (&str, &str)| (file.to_owned(), code.to_owned());
    let of = |top: &str| {
        let files = [
            ("lib.rs", "pub use top::{Top as T};"),
            ("top/mod.rs", top),
            ("top/low.rs", "use super::{helper, Other}; fn f() { other::g() }"),
            ("top/helper.rs", "use crate::side::{self, X, inner::{Y, Z}};"),
            ("side/mod.rs", "mod inner; pub(crate) use inner::Y; fn f() -> crate::side::inner::Z {}"),
            ("side/inner.rs", "fn f() { crate::T::new() }"),
        ];
        Crate::new(&files.into_iter().map(source).collect())
    };
    let apart = of("pub use low::Low; pub struct Top; fn f() {}");
    assert_eq!(apart.imports["top/low.rs"], ["top/helper.rs", "top/mod.rs"].map(str::to_owned).into());
    assert_eq!(apart.imports["top/helper.rs"], ["side/inner.rs", "side/mod.rs"].map(str::to_owned).into());
    assert_eq!(apart.imports["side/mod.rs"], ["side/inner.rs".to_owned()].into());
    assert_eq!(apart.imports["side/inner.rs"], ["top/mod.rs".to_owned()].into());
    assert!(apart.loops().is_empty());
    let closed = of("use low::Low; pub struct Top;");
    assert_eq!(
        closed.loops(),
        ["side/inner.rs -> top/mod.rs", "top/helper.rs -> side/inner.rs", "top/helper.rs -> side/mod.rs"]
    );
}
