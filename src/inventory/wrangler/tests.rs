//! Every form, and what is none; spans are checked by cutting them out.

use super::*;

fn read(text: &str, syntax: Syntax) -> WranglerFile {
    WranglerFile::parse("w".into(), text.to_owned(), syntax).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn patterns(file: &WranglerFile) -> Vec<(Option<String>, String, bool)> {
    let of_block = |block: &declared::Block| {
        let environment = block.environment.clone();
        let text = |entry: &declared::Entry| entry.pattern.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
        block.entries.iter().map(move |e| (environment.clone(), text(e), e.custom_domain)).collect::<Vec<_>>()
    };
    file.declared.blocks.iter().flat_map(of_block).collect()
}

/// Environment, pattern, whether a custom domain.
type Told = (Option<&'static str>, &'static str, bool);

#[test]
fn every_form_of_toml_is_read() {
    let cases: [(&str, &[Told]); 8] = [
        ("name = \"a\"\nroute = \"a.cc/*\"\n", &[(None, "a.cc/*", false)]),
        ("route = { pattern = \"a.cc/*\", zone_id = \"${ZONE}\" }", &[(None, "a.cc/*", false)]),
        ("routes = [ \"a.cc/*\", 'b.cc/*', ]", &[(None, "a.cc/*", false), (None, "b.cc/*", false)]),
        (
            "routes = [\n  { pattern = \"a.cc\", custom_domain = true }, # own\n  {pattern = \"b.cc/*\", zone_name = \"b.cc\"}\n]",
            &[(None, "a.cc", true), (None, "b.cc/*", false)],
        ),
        (
            "[[routes]]\npattern = \"a.cc/*\"\nzone_name = \"cc\"\n[[routes]]\npattern = \"b.cc/*\"\n",
            &[(None, "a.cc/*", false), (None, "b.cc/*", false)],
        ),
        ("[env.production]\nroute = \"a.cc/*\"\n", &[(Some("production"), "a.cc/*", false)]),
        ("[[env.production.routes]]\npattern = \"*.a.cc/*\"\n", &[(Some("production"), "*.a.cc/*", false)]),
        ("env.staging.routes = [\"a.cc/*\"]", &[(Some("staging"), "a.cc/*", false)]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(e, p, c)| (e.map(str::to_owned), (*p).to_owned(), *c)).collect();
        assert_eq!(patterns(&read(text, Syntax::Toml)), expected, "{text}");
    }
}

#[test]
fn every_form_of_json_is_read() {
    let text = "\u{feff}{\r\n  // a worker\r\n  \"name\": \"a\", /* b */\r\n  \"routes\": [\"a.cc/*\", {\"pattern\": \"b.cc\", \
                \"custom_domain\": true},],\r\n  \"env\": {\"p\": {\"route\": {\"pattern\": \"c.cc/*\"}}, \"s\": {\"route\": \
                \"d.cc/*\",},},\r\n}\r\n";
    let file = read(text, Syntax::Jsonc);
    let expected = [
        (None, "a.cc/*".to_owned(), false),
        (None, "b.cc".to_owned(), true),
        (Some("p".to_owned()), "c.cc/*".to_owned(), false),
        (Some("s".to_owned()), "d.cc/*".to_owned(), false),
    ];
    assert_eq!(patterns(&file), expected);
}

#[test]
fn keys_of_that_name_elsewhere_are_no_routes() {
    let toml = "name = \"a\"\n[[triggers]]\nroute = \"/mcp/heartbeat\"\n[triggers.more]\nroutes = [\"x.cc/*\"]\n[[durable_objects.bindings]]\n\
                name = \"x.cc/*\"\n[[email]]\nroute = \"x@a.cc\"\n[vars]\nroute = \"y.cc/*\"\n[env.p.vars]\nroute = \"z.cc/*\"\n\
                # route = \"c.cc/*\"\n[dev]\nroutes = [\"q.cc/*\"]\n";
    assert_eq!(patterns(&read(toml, Syntax::Toml)), []);
    let json = "{\"triggers\": {\"crons\": [\"* * * * *\"], \"route\": \"a.cc/*\"}, \"routes\": [\"info@a.cc\"], /* \
                \"route\": \"b.cc/*\" */ \"vars\": {\"routes\": [\"c.cc/*\"]}}";
    assert_eq!(patterns(&read(json, Syntax::Jsonc)), []);
}

#[test]
fn spans_cut_out_what_they_name() {
    for (text, syntax) in [
        ("name = \"a\"\nroutes = [ { pattern = \"a.cc/*\", zone_name = \"a.cc\" } ]\n", Syntax::Toml),
        ("name = \"a\"\n[[routes]]\npattern = \"a.cc/*\" # c\nzone_name = \"a.cc\"\n", Syntax::Toml),
        (
            "\u{feff}name = \"a\"\r\n[[env.p.routes]]\r\npattern = \"a.cc/*\" # c\r\nzone_name = \"a.cc\"\r\n",
            Syntax::Toml,
        ),
        ("\u{feff}{\"routes\": [{\"pattern\": \"a.cc/*\", \"zone_name\": \"a.cc\"}]}", Syntax::Jsonc),
    ] {
        let file = read(text, syntax);
        let entry = file.declared.blocks.iter().flat_map(|block| &block.entries).next().unwrap();
        assert_eq!(&text[entry.pattern.clone().unwrap().1], "\"a.cc/*\"", "{text}");
        assert_eq!(&text[entry.zone_name.clone().unwrap().1], "\"a.cc\"", "{text}");
        let block = file.declared.blocks.iter().find(|block| !block.entries.is_empty()).unwrap();
        let key = &text[block.fields[entry.field].at.clone()];
        assert!(["routes", "\"routes\""].contains(&key), "{key}");
        let whole = &text[entry.node.span.clone()];
        assert!(whole.starts_with('{') && whole.ends_with('}') || whole.starts_with("[["), "{whole}");
    }
}

#[test]
fn a_file_that_does_not_parse_has_a_place() {
    for (text, syntax, line, column) in [
        ("name = \"a\"\nroutes = [\n", Syntax::Toml, 2, 11),
        ("name = \"ä\" x\n", Syntax::Toml, 1, 12),
        ("{\n  \"a\": 1\n  \"b\": 2\n}", Syntax::Jsonc, 2, 9),
        ("\u{feff}[]", Syntax::Jsonc, 1, 1),
        ("", Syntax::Jsonc, 1, 1),
    ] {
        let error = WranglerFile::parse("w".into(), text.to_owned(), syntax).unwrap_err();
        assert_eq!((error.line, error.column), (Some(line), Some(column)), "{text:?}: {error}");
    }
    let deep = "[".repeat(900_000);
    assert!(WranglerFile::parse("w".into(), deep.clone(), Syntax::Jsonc).is_err());
    assert!(WranglerFile::parse("w".into(), format!("a = {deep}"), Syntax::Toml).is_err());
}

#[test]
fn comments_are_told_from_strings() {
    let toml = "# one\na = \"# no\" # two\r\nb = '''\n# no\n''' # three\nc = \"\"\"\\\"# no\"\"\"\" # four";
    let found: Vec<&str> = text::comments(toml, Syntax::Toml).into_iter().map(|range| &toml[range]).collect();
    assert_eq!(found, ["# one", "# two", "# three", "# four"]);
    let json = "// one\n{\"a\": \"// no \\\" /* no */\", /* two\n */ \"b\": 1 } // three";
    let found: Vec<&str> = text::comments(json, Syntax::Jsonc).into_iter().map(|range| &json[range]).collect();
    assert_eq!(found, ["// one", "/* two\n */", "// three"]);
}

#[test]
fn names_tell_what_is_read() {
    for (name, is) in [
        ("wrangler.toml", true),
        ("wrangler.jsonc", true),
        ("wrangler.json", true),
        ("wrangler.staging.toml", true),
        ("wrangler.toml copy", true),
        ("wrangler.toml copy 2", true),
        ("wrangler copy.toml", true),
        ("wrangler.toml.bak", false),
        ("my-wrangler.toml", false),
        ("wranglers.toml", false),
        ("Cargo.toml", false),
    ] {
        assert_eq!(Syntax::is_wrangler(Path::new(name)), is, "{name}");
    }
}
