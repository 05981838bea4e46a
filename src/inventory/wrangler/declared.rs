//! What a wrangler file says of routes: `route` and `routes`, at its top and in `env.<name>`, and nowhere else. A key of
//! that name anywhere below is something else (a cron's path, a binding, an e-mail rule).

use std::ops::Range;

use super::tree::{Field, Kind, Node};

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// The worker's name.
    pub name: Option<String>,
    /// The top first, then each environment in its order.
    pub blocks: Vec<Block>,
    /// Where a key may be added at the top: behind the field that names the worker, else at the beginning.
    pub name_field: Option<Field>,
    /// All of the file's value.
    pub span: Range<usize>,
}

/// The top of a file, or one of its environments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// The environment; `None` at the top.
    pub environment: Option<String>,
    /// The name that the environment gives itself.
    pub name: Option<String>,
    /// The header `[env.<name>]`, where there is one.
    pub header: Option<Range<usize>>,
    /// All of it, or its header.
    pub span: Range<usize>,
    /// Every key of the block, for whoever takes one away between others.
    pub fields: Vec<Field>,
    /// Its zone id, as old files state it.
    pub zone_id: Option<String>,
    /// Its routes, in their order.
    pub entries: Vec<Entry>,
}

/// How an entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The value of `route`.
    Single,
    /// An element of `routes = […]`.
    Element,
    /// A table `[[routes]]`.
    Table,
}

/// One route, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// How it is written.
    pub form: Form,
    /// Index of the field `route` or `routes` among the block's.
    pub field: usize,
    /// Index among the elements of that field.
    pub index: usize,
    /// The string, the object or the table.
    pub node: Node,
    /// The pattern and where it stands.
    pub pattern: Option<(String, Range<usize>)>,
    /// `zone_name` and where its value stands.
    pub zone_name: Option<(String, Range<usize>)>,
    /// `zone_id`, or the block's.
    pub zone_id: Option<String>,
    /// Whether it is a custom domain.
    pub custom_domain: bool,
    /// What is wrong with it beside its pattern.
    pub wrong: Option<String>,
}

impl Declared {
    /// Reads the tree of a file.
    #[must_use]
    pub fn of(root: &Node) -> Self {
        let name = root.field("name").and_then(|field| field.value.text()).map(str::to_owned);
        let mut blocks = vec![Block::of(root, None)];
        if let Some(environments) = root.field("env") {
            for environment in environments.value.fields() {
                blocks.push(Block::of(&environment.value, Some(environment.key.clone())));
            }
        }
        Self { name, blocks, name_field: root.field("name").cloned(), span: root.span.clone() }
    }
}

impl Block {
    fn of(node: &Node, environment: Option<String>) -> Self {
        let text = |key: &str| node.field(key).and_then(|field| field.value.text()).map(str::to_owned);
        let header = environment.is_some().then(|| node.span.clone()).filter(|span| !span.is_empty());
        let mut block = Self {
            environment,
            name: text("name"),
            header,
            span: node.span.clone(),
            fields: node.fields().to_vec(),
            zone_id: text("zone_id"),
            entries: Vec::new(),
        };
        let both = node.field("route").is_some() && node.field("routes").is_some();
        for (at, field) in node.fields().iter().enumerate() {
            match (field.key.as_str(), &field.value.kind) {
                ("route", _) => block.add(Form::Single, at, 0, &field.value),
                ("routes", Kind::List(nodes)) => {
                    nodes.iter().enumerate().for_each(|(index, node)| block.add(Form::Element, at, index, node));
                }
                ("routes", Kind::Tables(nodes)) => {
                    nodes.iter().enumerate().for_each(|(index, node)| block.add(Form::Table, at, index, node));
                }
                ("routes", _) => {
                    block.add(Form::Single, at, 0, &field.value);
                    if let Some(entry) = block.entries.last_mut() {
                        entry.wrong = Some("`routes` is a list of patterns".to_owned());
                    }
                }
                _ => {}
            }
        }
        if both {
            let why = "`route` and `routes` stand side by side, and wrangler takes one of them alone";
            block.entries.iter_mut().filter(|entry| entry.form == Form::Single).for_each(|entry| {
                entry.wrong.get_or_insert_with(|| why.to_owned());
            });
        }
        block
    }

    fn add(&mut self, form: Form, field: usize, index: usize, node: &Node) {
        let spanned = |key: &str| {
            let value = &node.field(key)?.value;
            Some((value.text()?.to_owned(), value.span.clone()))
        };
        let pattern = match &node.kind {
            Kind::Text(text) => Some((text.clone(), node.span.clone())),
            _ => spanned("pattern"),
        };
        // An address of mail: whatever it is, it is no route.
        if pattern.as_ref().is_some_and(|(text, _)| text.contains('@')) {
            return;
        }
        let wrong = match (&node.kind, &pattern) {
            (_, Some(_)) => None,
            (Kind::Table(_), None) => Some("there is no `pattern`, or it is no string".to_owned()),
            (_, None) => Some("a route is a pattern, or an object with one".to_owned()),
        };
        let custom = node.field("custom_domain").is_some_and(|field| field.value.kind == Kind::Bool(true));
        self.entries.push(Entry {
            form,
            field,
            index,
            node: node.clone(),
            pattern,
            zone_name: spanned("zone_name"),
            zone_id: spanned("zone_id").map(|(text, _)| text).or_else(|| self.zone_id.clone()),
            custom_domain: custom,
            wrong,
        });
    }
}
