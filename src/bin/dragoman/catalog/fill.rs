//! Writes what the catalog knows into the models of a document, as though it stood there. What the document
//! says wins, also where it says it in another field.

use dragoman::config::document::{Field, Node, Value};

use super::find::Found;
use super::{Catalog, FACTS, get, map, text};

/// A model that the catalog does not have.
#[derive(Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Its name in the document.
    pub name: String,
    pub kind: String,
    pub id: String,
}

/// Also says which models are not known. Whatever is wrong with the document is left as it is.
pub fn fill(catalog: &Catalog, document: &mut Node) -> Vec<Unknown> {
    let kinds: Vec<(String, String)> = map(get(map(&*document), "providers"))
        .iter()
        .map(|field| {
            let kind = text(get(map(&field.node), "kind")).unwrap_or(&field.name);
            (field.name.clone(), kind.to_owned())
        })
        .collect();
    let mut unknown = Vec::new();
    for model in models(document) {
        let Value::Map(fields) = &mut model.node.value else { continue };
        let (Some(provider), Some(id)) = (text(get(fields, "provider")), text(get(fields, "id"))) else { continue };
        let Some((_, kind)) = kinds.iter().find(|(name, _)| name == provider) else { continue };
        match catalog.find(kind, id) {
            Some(found) => take_over(&found, fields),
            None => unknown.push(Unknown { name: model.name.clone(), kind: kind.clone(), id: id.to_owned() }),
        }
    }
    unknown
}

fn models(document: &mut Node) -> &mut [Field] {
    let Value::Map(sections) = &mut document.value else { return &mut [] };
    let models = sections.iter_mut().find(|field| field.name == "models");
    match models.map(|field| &mut field.node.value) {
        Some(Value::Map(models)) => models,
        _ => &mut [],
    }
}

fn take_over(found: &Found<'_>, fields: &mut Vec<Field>) {
    // Before anything is added: what counts is what was written.
    let additions: Vec<_> = FACTS.iter().filter_map(|name| Some((*name, addition(found, fields, name)?))).collect();
    for (name, node) in additions {
        match fields.iter_mut().find(|field| field.name == name) {
            Some(field) => field.node.value = node.value,
            None => fields.push(Field { name: name.to_owned(), at: None, node }),
        }
    }
}

/// What is to stand in a field that does not say it yet.
fn addition(found: &Found<'_>, fields: &[Field], name: &str) -> Option<Node> {
    let written = |name: &str| get(fields, name).map(|node| &node.value);
    let known = found.row.get(name).filter(|_| found.holds.covers(name))?;
    let thinks = |capabilities: &Value| matches!(capabilities, Value::List(list) if list.iter().any(is_reasoning));
    match (name, written(name)) {
        // That it thinks is said, but not how it is told to.
        ("reasoning", Some(Value::Bool(true))) | ("reasoning", None) => match written("capabilities") {
            Some(capabilities) if written(name).is_none() && !thinks(capabilities) => None,
            _ if !found.holds.speaks_alike() => Some(Value::Bool(true).into()),
            _ => Some(known.clone()),
        },
        (_, Some(_)) => None,
        // They are those of the form in which it is told, where that is the row's.
        ("efforts", None) => {
            let form = found.row.get("reasoning").map(|node| &node.value);
            let thinks = written("capabilities").is_none_or(thinks);
            let is_alike = match written("reasoning") {
                None => thinks,
                Some(Value::Bool(true)) => true,
                other => other == form,
            };
            Some(known.clone()).filter(|_| is_alike && found.holds.speaks_alike())
        }
        ("capabilities", None) if written("reasoning") == Some(&Value::Bool(false)) => Some(without_reasoning(known)),
        // Either is an answer to how long there will be the model.
        ("deprecated" | "retires", None) if written("deprecated").or(written("retires")).is_some() => None,
        _ => Some(known.clone()),
    }
}

fn is_reasoning(node: &Node) -> bool {
    text(Some(node)) == Some("reasoning")
}

fn without_reasoning(capabilities: &Node) -> Node {
    match &capabilities.value {
        Value::List(list) => Node::list(list.iter().filter(|node| !is_reasoning(node)).cloned()),
        _ => capabilities.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragoman::config;

    /// The resolved entry of a model that is written like this.
    fn filled(model: &str) -> config::Model {
        let document = format!(
            r#"{{"providers": {{"anthropic": {{"credential": "none"}}, "openai": {{"credential": "none"}},
                 "openrouter": {{"credential": "none"}}}}, "models": {{"m": {{{model}}}}}}}"#
        );
        let mut document = Node::from_json(document.as_bytes()).unwrap();
        fill(&Catalog::load().unwrap(), &mut document);
        match config::resolve(&document) {
            Ok(mut config) => config.models.remove(0),
            Err(problems) => panic!("{problems}"),
        }
    }

    #[test]
    fn two_words_are_enough() {
        let model = filled(r#""provider": "anthropic", "id": "claude-opus-5-5""#);
        assert_eq!((model.max_output, model.context_window), (Some(128_000), Some(1_000_000)));
        assert_eq!(model.reasoning, Some(dragoman::provider::Reasoning::Adaptive));
        assert!(model.sampling.is_empty());
        assert!(model.facts.price.is_some() && model.facts.capabilities.is_some());
    }

    #[test]
    fn what_is_written_wins() {
        let claude = r#""provider": "anthropic", "id": "claude-sonnet-4-5""#;
        let model = filled(&format!(r#"{claude}, "max_output": 5, "price": {{"input": 1, "output": 2}}"#));
        assert_eq!(model.max_output, Some(5));
        let price = model.facts.price.unwrap();
        assert_eq!((price.input, price.cached_input), (1_000_000, None));

        let thoughtless = filled(&format!(r#"{claude}, "reasoning": false"#));
        assert_eq!(thoughtless.reasoning, None);
        let capabilities = thoughtless.facts.capabilities.unwrap();
        assert!(!capabilities.has(config::registry::Capability::Reasoning));
        assert!(capabilities.has(config::registry::Capability::Tools));

        assert_eq!(filled(&format!(r#"{claude}, "capabilities": ["tools"]"#)).reasoning, None);
        let budget = Some(dragoman::provider::Reasoning::Budget);
        assert_eq!(filled(&format!(r#"{claude}, "capabilities": ["reasoning"]"#)).reasoning, budget);
        assert_eq!(filled(&format!(r#"{claude}, "reasoning": true"#)).reasoning, budget);

        use dragoman::provider::Effort;
        let opus = r#""provider": "anthropic", "id": "claude-opus-4-6""#;
        let all = [Effort::None, Effort::Low, Effort::Medium, Effort::High, Effort::Max];
        assert_eq!(filled(opus).efforts, all);
        assert_eq!(filled(&format!(r#"{opus}, "reasoning": true"#)).efforts, all);
        assert_eq!(filled(&format!(r#"{opus}, "efforts": ["low"]"#)).efforts, [Effort::Low]);
        // They are those of another form.
        for other in [r#""reasoning": "budget""#, r#""reasoning": false"#, r#""capabilities": ["tools"]"#] {
            assert!(filled(&format!("{opus}, {other}")).efforts.is_empty(), "{other}");
        }

        let gpt = r#""provider": "openai", "id": "gpt-4o""#;
        assert!(filled(gpt).facts.retires.is_some());
        assert!(filled(&format!(r#"{gpt}, "deprecated": "2030-01-01""#)).facts.retires.is_none());
        let retires = filled(&format!(r#"{claude}, "retires": "2030-01-01""#)).facts;
        assert_eq!((retires.deprecated, retires.retires), (None, config::registry::Date::parse("2030-01-01")));
    }

    #[test]
    fn a_date_by_hearsay_is_warned_of_and_only_the_vendors_takes_a_model_away() {
        let day = config::registry::Date::parse("2026-12-24").unwrap();
        let hearsay = filled(r#""provider": "anthropic", "id": "claude-sonnet-4-5""#).facts;
        assert!(dragoman::route::ending::is_near(&hearsay, day), "{:?}", hearsay.deprecated);
        assert!(!dragoman::route::policy::has_ended(&hearsay, day, false));
        let vendors = filled(r#""provider": "openai", "id": "gpt-5""#).facts;
        assert!(dragoman::route::policy::has_ended(&vendors, day, false), "{:?}", vendors.retires);
    }

    #[test]
    fn a_host_has_its_own_api_and_a_snapshot_its_own_end() {
        let hosted = filled(r#""provider": "openrouter", "id": "anthropic/claude-sonnet-4.5""#);
        assert_eq!(hosted.reasoning, Some(dragoman::provider::Reasoning::Effort));
        assert!(hosted.facts.price.is_some() && hosted.facts.deprecated.is_none());
        let snapshot = filled(r#""provider": "anthropic", "id": "claude-sonnet-4-5-20260101""#);
        assert!(snapshot.facts.price.is_some() && snapshot.facts.deprecated.is_none());
        let snapshot = filled(r#""provider": "openai", "id": "gpt-5-2027-01-01""#);
        assert!(snapshot.facts.price.is_some() && snapshot.facts.retires.is_none());
    }

    #[test]
    fn unknown_models_are_told_and_broken_documents_left_alone() {
        let catalog = Catalog::load().unwrap();
        let mut document = Node::from_json(
            br#"{"providers": {"local": {"kind": "vllm"}}, "models": {"m": {"provider": "local", "id": "llama"}}}"#,
        )
        .unwrap();
        let before = document.clone();
        let unknown = Unknown { name: "m".to_owned(), kind: "vllm".to_owned(), id: "llama".to_owned() };
        assert_eq!(fill(&catalog, &mut document), [unknown]);
        assert_eq!(document, before);
        for broken in [r#"[]"#, r#"{"models": 5}"#, r#"{"models": {"m": 5, "n": {"provider": 5}}, "providers": []}"#] {
            let mut document = Node::from_json(broken.as_bytes()).unwrap();
            assert_eq!(fill(&catalog, &mut document), []);
        }
    }
}
