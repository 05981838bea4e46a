//! The import direction of STYLE §3, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module of the crate's root → what it may import. `config` is apart: it takes the components' `Config` types.
const MAY_IMPORT: [(&str, &[&str]); 21] = [
    ("main", &["cli", "telemetry"]),
    ("cli", ALL_BELOW_CLI),
    ("app", ALL_BELOW_APP),
    ("daemon", ALL_BELOW_DAEMON),
    ("config", COMPONENTS),
    ("proxy", &["problem", "auth", "registry", "listener", "route", "event", "blob", "store", "upstream"]),
    ("api", &["problem", "inventory", "auth", "registry", "listener", "route", "event", "blob", "store", "upstream"]),
    ("problem", &["inventory", "auth", "registry", "listener", "route", "event", "blob", "store", "upstream"]),
    ("inventory", &["registry"]),
    ("auth", &["route", "event", "blob", "store", "upstream"]),
    ("registry", &["route", "event", "blob", "store", "upstream"]),
    ("listener", &["route", "event", "blob", "store", "upstream"]),
    ("route", &["upstream"]),
    ("event", &["store"]),
    ("blob", &["store"]),
    ("store", &[]),
    ("upstream", &[]),
    ("model", &[]),
    ("telemetry", &[]),
    ("yaml", &[]),
    ("lib", &[]),
];

const ALL_BELOW_CLI: &[&str] = &[
    "app",
    "daemon",
    "config",
    "proxy",
    "api",
    "problem",
    "inventory",
    "auth",
    "registry",
    "listener",
    "route",
    "event",
    "blob",
    "store",
    "upstream",
];
const ALL_BELOW_APP: &[&str] = &[
    "daemon",
    "config",
    "proxy",
    "api",
    "problem",
    "inventory",
    "auth",
    "registry",
    "listener",
    "route",
    "event",
    "blob",
    "store",
    "upstream",
];
const ALL_BELOW_DAEMON: &[&str] = &[
    "config",
    "proxy",
    "api",
    "problem",
    "inventory",
    "auth",
    "registry",
    "listener",
    "route",
    "event",
    "blob",
    "store",
    "upstream",
];
const COMPONENTS: &[&str] = &[
    "daemon",
    "proxy",
    "api",
    "inventory",
    "auth",
    "registry",
    "listener",
    "route",
    "event",
    "blob",
    "store",
    "upstream",
];

/// Modules at the bottom, which anyone above may import: no crate modules in them, but `model` for `yaml`.
const BOTTOM: [&str; 3] = ["model", "telemetry", "yaml"];

/// What must hold for any input (`fuzz/src`): there in builds of tests alone, for everybody's.
const PROPERTY: &str = "property";

fn may_import(module: &str, imported: &str) -> bool {
    if module == imported || imported == PROPERTY {
        return true;
    }
    if BOTTOM.contains(&module) {
        return module == "yaml" && imported == "model";
    }
    let allowed = MAY_IMPORT.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
    BOTTOM.contains(&imported) || allowed.is_some_and(|allowed| allowed.contains(&imported))
}

#[test]
fn modules_import_only_what_stands_below_them() {
    let mut wrong = BTreeSet::new();
    for (file, module, text) in sources() {
        for path in crate_paths(&text) {
            let imported = path.split("::").next().unwrap_or_default();
            if !may_import(&module, imported) {
                wrong.insert(format!("{}: {module} imports {imported} (crate::{path})", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "against the table of STYLE §3:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_root_module_stands_in_the_table() {
    let known: BTreeSet<&str> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    let unknown: BTreeSet<String> =
        sources().into_iter().map(|(_, module, _)| module).filter(|module| !known.contains(module.as_str())).collect();
    assert!(unknown.is_empty(), "modules without a place in the table: {unknown:?}");
}

#[test]
fn configuration_takes_nothing_of_a_component_but_its_config_types() {
    let mut wrong = BTreeSet::new();
    for (file, module, text) in sources() {
        if module != "config" {
            continue;
        }
        for path in crate_paths(&text) {
            let names: Vec<&str> = path.split("::").collect();
            if COMPONENTS.contains(&names[0]) && names.len() == 2 && names[1].starts_with(char::is_lowercase) {
                wrong.insert(format!("{}: crate::{path}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "whole functions or modules of components:\n{wrong:#?}");
}

#[test]
fn no_file_is_called_mod() {
    let named: Vec<PathBuf> = sources().into_iter().map(|(file, ..)| file).filter(|f| f.ends_with("mod.rs")).collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn paths_are_found_in_every_form_of_import() {
    let text = "use crate::route::Routes;\nuse crate::{model::name::Hostname, store::{self, Store}};\n\
                // use crate::cli;\n/// [`crate::app`]\nlet x = crate::telemetry::now();\npub(crate) use crate::auth;\n\
                use crate::{\n    config,\n    upstream::{\n        guard::Guard,\n        peer,\n    },\n};\n";
    let found: BTreeSet<String> = crate_paths(text).into_iter().collect();
    let wanted = [
        "auth",
        "config",
        "model::name::Hostname",
        "route::Routes",
        "store::Store",
        "store::self",
        "telemetry::now",
        "upstream::guard::Guard",
        "upstream::peer",
    ];
    assert_eq!(found, wanted.into_iter().map(str::to_owned).collect());
}

/// Every source file with the root module it belongs to and its text.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.push((inside.to_owned(), module, text));
            }
        }
    }
    found
}

/// Every path behind `crate::` in code (comments left out), groups written out.
fn crate_paths(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let part_of_a_name = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if !part_of_a_name {
            expand("", &code[at + "crate::".len()..], &mut found);
        }
    }
    found
}

/// Reads one path or group at the beginning of `rest` and returns what follows it.
fn expand<'a>(prefix: &str, rest: &'a str, found: &mut Vec<String>) -> &'a str {
    let rest = rest.trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start();
            match inside.chars().next() {
                Some('}') => return &inside[1..],
                Some(',') => inside = &inside[1..],
                None => return inside,
                Some(_) => {
                    let after = expand(prefix, inside, found);
                    // An `as` and its name belong to the path before it.
                    inside = after.trim_start_matches(|c: char| c != ',' && c != '}');
                }
            }
        }
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let name = if prefix.is_empty() { rest[..end].to_owned() } else { format!("{prefix}::{}", &rest[..end]) };
    if let Some(deeper) = rest[end..].strip_prefix("::") {
        return expand(&name, deeper, found);
    }
    found.push(name);
    &rest[end..]
}

#[test]
fn the_table_has_no_circle() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.into_iter().filter(|(module, _)| *module != "config").collect();
    for module in table.keys() {
        let mut seen = BTreeSet::new();
        let mut next = vec![*module];
        while let Some(name) = next.pop() {
            for below in table.get(name).copied().unwrap_or_default() {
                assert!(below != module, "{module} imports itself through {name}");
                if seen.insert(*below) {
                    next.push(below);
                }
            }
        }
    }
}
