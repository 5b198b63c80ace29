//! Turns a document into a [`Config`]: checks every field, fills in the defaults, looks up every
//! name. All problems are reported, each once, and a secret that was written where only its place
//! belongs is never repeated in a message.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::provider::{Auth, Effort, KINDS, Kind, Reasoning, Sampling, Setting};

use super::document::{Cursor, Node, Problem, Problems, Report, unknown};
use super::facts::{self, FactFields};
use super::registry::Capability;
use super::{Clients, Config, Credential, Limits, Listen, Model, Provider, Scheme, Url, quantity, routes};

/// Reads the JSON that the module is configured with.
pub fn from_json(text: &[u8]) -> Result<Config, Problems> {
    resolve(&Node::from_json(text)?)
}

pub fn resolve(document: &Node) -> Result<Config, Problems> {
    let report = Report::default();
    let config = config(&Cursor::new(document, &report));
    let mut problems = report.into_problems();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            if problems.is_empty() {
                let message = "the document could not be resolved".to_owned();
                problems.push(Problem { path: String::new(), message, place: None });
            }
            Err(Problems(problems))
        }
    }
}

fn config(document: &Cursor<'_>) -> Option<Config> {
    let mut fields = document.fields()?;
    let version = match fields.optional("version") {
        Some(field) => version(&field),
        None => Some("1".to_owned()),
    };
    let listen_field = fields.optional("listen");
    let clients_field = fields.optional("clients");
    let providers_field = fields.required("providers", "a map of names to who is called, one at least");
    let models_field = fields.required("models", "a map of names to what can answer, one at least");
    let routes_field = fields.optional("routes");
    let limits_field = fields.optional("limits");
    let usual_field = fields.optional("usual_provider");
    fields.finish();

    let limits = limits(limits_field.as_ref());
    let listen = match &listen_field {
        Some(field) => listen(field),
        None => Some(Listen { host: std::net::Ipv4Addr::LOCALHOST.into(), port: 8080 }),
    };
    let clients = match &clients_field {
        Some(field) => clients(field),
        None => Some(Clients::Local),
    };
    if let (Some(field), Some(listen), None) = (&listen_field, &listen, &clients_field)
        && !listen.host.is_loopback()
    {
        field.problem(
            "others than this machine can reach this address: say who may call with \
             `clients: {keys: {file: keys.yaml}}`, or that everybody may with `clients: open`",
        );
    }

    let providers = section(providers_field.as_ref(), "provider", provider_name, provider);
    let usual_provider = usual_field.as_ref().and_then(|field| {
        let names: Vec<&str> = providers.iter().map(|row| row.name).collect();
        reference(field, "provider", &names)
    });
    let names = names(models_field.as_ref());
    let models = section(models_field.as_ref(), "model", public_name, |name, cursor| {
        model(name, cursor, &providers, &names, &limits)
    });
    facts::check_replacements(&models);
    let routes = section(routes_field.as_ref(), "route", public_name, |name, cursor| {
        routes::route(name, cursor, &names, version.as_deref().unwrap_or_default())
    });
    for row in &routes {
        if models.iter().any(|model| model.name == row.name) {
            row.cursor.name_problem("there is a model of this name, too; what a client asks for must be one of them");
        }
    }
    for (field, is_empty, what) in
        [(&providers_field, providers.is_empty(), "provider"), (&models_field, models.is_empty(), "model")]
    {
        if let Some(field) = field
            && is_empty
            && field.is_map()
        {
            field.problem(format!("there must be one {what} at least"));
        }
    }

    Some(Config {
        version: version?,
        listen: listen?,
        clients: clients?,
        providers: values(providers)?,
        models: values(models)?,
        routes: values(routes)?,
        limits,
        usual_provider,
    })
}

/// An entry of a section. Its name is known to the rest of the document even if it is not right in
/// itself, so that one mistake gives one problem.
pub(super) struct Row<'d, T> {
    pub name: &'d str,
    pub cursor: Cursor<'d>,
    pub value: Option<T>,
}

/// The names of a section, in the order of its rows.
fn names<'d>(field: Option<&Cursor<'d>>) -> Vec<&'d str> {
    let entries = field.filter(|field| field.is_map()).and_then(Cursor::entries).unwrap_or_default();
    entries.into_iter().map(|(name, _)| name).collect()
}

fn section<'d, T>(
    field: Option<&Cursor<'d>>,
    what: &str,
    name_rule: fn(&str) -> Result<(), String>,
    read: impl Fn(&'d str, &Cursor<'d>) -> Option<T>,
) -> Vec<Row<'d, T>> {
    let entries = field.and_then(Cursor::entries).unwrap_or_default();
    let row = |(name, cursor): (&'d str, Cursor<'d>)| {
        if let Err(rule) = name_rule(name) {
            cursor.name_problem(format!("the name of a {what} {rule}"));
        }
        let value = read(name, &cursor);
        Row { name, cursor, value }
    };
    entries.into_iter().map(row).collect()
}

fn values<T>(rows: Vec<Row<'_, T>>) -> Option<Vec<T>> {
    rows.into_iter().map(|row| row.value).collect()
}

/// The index of the entry that a field names.
pub(super) fn reference(field: &Cursor<'_>, what: &str, names: &[&str]) -> Option<usize> {
    let name = field.string()?;
    let index = names.iter().position(|known| *known == name);
    if index.is_none() {
        field.problem(unknown(what, name, names.iter().copied()));
    }
    index
}

/// It names a cluster, a secret and a file.
fn provider_name(name: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    if name.len() > 64 || !name.bytes().all(inner) || name.is_empty() || name.starts_with(['_', '-']) {
        return Err("is lower-case letters, digits, _ and -, begins with a letter or digit, \
                    and has at most 64 characters"
            .to_owned());
    }
    if name.starts_with("dragoman") {
        return Err("does not begin with `dragoman`: such clusters are the gateway's own".to_owned());
    }
    Ok(())
}

/// What clients write into `model`; it also appears in response headers.
fn public_name(name: &str) -> Result<(), String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if name.len() > 128 || !first || !name.bytes().all(inner) {
        return Err("is letters, digits and any of . _ : / @ -, begins with a letter or digit, \
                    and has at most 128 characters"
            .to_owned());
    }
    Ok(())
}

pub(super) fn version(field: &Cursor<'_>) -> Option<String> {
    text(field, 128, "a version")
}

/// What is compared with what a header or a path says: a plain word.
pub(super) fn word(field: &Cursor<'_>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let text = field.string()?;
    if text.is_empty() || text.len() > 128 || !text.bytes().all(plain) {
        field.problem("expected 1 to 128 letters, digits and any of - _ .");
        return None;
    }
    Some(text.to_owned())
}

/// A list of such words.
pub(super) fn words(field: &Cursor<'_>) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut complete = true;
    for element in field.elements()? {
        match word(&element) {
            Some(word) if words.contains(&word) => element.problem("this word is written twice"),
            Some(word) => words.push(word),
            None => complete = false,
        }
    }
    complete.then_some(words)
}

/// What an optional field says: nothing, something, or something wrong.
pub(super) fn optional<'d, T>(
    field: Option<&Cursor<'d>>,
    read: impl FnOnce(&Cursor<'d>) -> Option<T>,
) -> Option<Option<T>> {
    match field {
        Some(field) => read(field).map(Some),
        None => Some(None),
    }
}

/// A decimal in its smallest parts; `expected` says what would be right.
pub(super) fn decimal(field: &Cursor<'_>, places: u32, range: RangeInclusive<u64>, expected: &str) -> Option<u64> {
    let Some(text) = field.number().filter(|text| !text.starts_with('-')) else {
        field.wrong_type(expected);
        return None;
    };
    let parts = quantity::decimal(&text, places).map_err(|error| field.problem(error)).ok()?;
    if !range.contains(&parts) {
        field.wrong_type(expected);
        return None;
    }
    Some(parts)
}

/// A text that may have to stand in a header.
fn text(field: &Cursor<'_>, longest: usize, what: &str) -> Option<String> {
    let text = field.string()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.is_empty() || text.len() > longest || !plain || text.trim() != text {
        field.problem(format!("{what} is 1 to {longest} printable ASCII characters, without spaces at its ends"));
        return None;
    }
    Some(text.to_owned())
}

fn listen(field: &Cursor<'_>) -> Option<Listen> {
    let text = field.string()?;
    let address: Option<std::net::SocketAddr> = text.parse().ok();
    match address {
        Some(address) if address.port() != 0 => Some(Listen { host: address.ip(), port: address.port() }),
        _ => {
            field.wrong_type("an IP address and a port, for example 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080");
            None
        }
    }
}

fn clients(field: &Cursor<'_>) -> Option<Clients> {
    let expected = "`{keys: {file: PATH}}`, or the word `open`";
    if field.word().is_some() {
        return field.choice("word", &[("open", ())]).map(|()| Clients::Open);
    }
    if !field.is_map() {
        field.wrong_type(expected);
        return None;
    }
    let mut fields = field.fields()?;
    let keys = fields.required("keys", "write `keys: {file: PATH}`");
    fields.finish();
    let mut fields = keys?.fields()?;
    let file = fields.required("file", "the path of a YAML map from the names of clients to their keys");
    fields.finish();
    Some(Clients::Keys { file: path(&file?)? })
}

/// The path of a file, on the machine that reads it.
fn path(field: &Cursor<'_>) -> Option<String> {
    let path = field.string()?;
    if path.is_empty() || path.len() > 4096 || path.chars().any(char::is_control) {
        field.problem("expected the path of a file");
        return None;
    }
    Some(path.to_owned())
}

fn provider(name: &str, cursor: &Cursor<'_>) -> Option<Provider> {
    let mut fields = cursor.fields()?;
    let kind_field = fields.optional("kind");
    let url_field = fields.optional("url");
    let ca_field = fields.optional("ca");
    let api_version_field = fields.optional("api_version");
    let region_field = fields.optional("region");
    let project_field = fields.optional("project");
    let auth_field = fields.optional("auth");
    let credential_field = fields.required(
        "credential",
        "write where Envoy finds the key, `{env: NAME}`, `{file: PATH}` or `{sds: NAME}`, \
         or `credential: none` on purpose",
    );
    fields.finish();

    let kind = kind(name, cursor, kind_field.as_ref());
    let credential = credential_field.as_ref().and_then(|field| credential(field, kind));
    let auth = match &auth_field {
        // For keys that are tokens: of Entra ID on Azure, or from whoever stands in front of the provider.
        Some(field) => field.choice("way to present the credential", &[("bearer", Auth::Bearer)]),
        None => kind.map(|kind| kind.auth),
    };
    let ca = ca_field.as_ref().map(path);
    let has = |what: fn(&Kind) -> Setting| kind.map_or(Setting::Optional, what);
    let region = setting(cursor, region_field.as_ref(), "region", has(|kind| kind.region), kind);
    let project = setting(cursor, project_field.as_ref(), "project", has(|kind| kind.project), kind);
    let versions = kind.and_then(|kind| kind.api_version);
    let versioned = if versions.is_some() { Setting::Optional } else { has(|_| Setting::None) };
    let api_version = setting(cursor, api_version_field.as_ref(), "api_version", versioned, kind);
    let api_version = api_version.map(|version| version.or_else(|| versions.map(str::to_owned)));
    let url = match (&url_field, kind) {
        (Some(field), _) => field.string().and_then(|text| Url::parse(text).map_err(|error| field.problem(error)).ok()),
        (None, Some(kind)) if kind.url.is_empty() => {
            cursor.name_problem(format!(
                "`url` is missing: providers of kind {} have an address of their own",
                kind.name
            ));
            None
        }
        (None, Some(kind)) => {
            let region = region.as_ref().and_then(Option::as_deref).unwrap_or_default();
            Url::parse(&kind.url_in(region)).map_err(|error| cursor.problem(error)).ok()
        }
        (None, None) => None,
    };
    if let (Some(field), Some(Url { host, path, .. })) = (&url_field, &url) {
        let is_dated = |version: &String| version.starts_with(|c: char| c.is_ascii_digit());
        let is_surface = path.ends_with("/openai/v1") && !api_version.iter().flatten().any(is_dated);
        // A gateway in front of it may have any path.
        let is_azure = kind.is_some_and(|kind| kind.name == "azure") && host.ends_with(".azure.com");
        if is_azure && !is_surface && path.split('/').any(|segment| segment == "openai") {
            field.problem("write the resource's own address, https://NAME.openai.azure.com: the path is added");
        } else if path.ends_with("/chat/completions") {
            field.problem("leave `/chat/completions` out: it is added");
        }
    }
    if let (Some(field), Some(Url { scheme: Scheme::Http, .. })) = (&ca_field, &url) {
        field.problem("the address is http, where no certificate is checked; leave `ca` out, or write https");
    }
    let ca = match ca {
        Some(ca) => Some(ca?),
        None => None,
    };
    Some(Provider {
        name: name.to_owned(),
        kind: kind?,
        url: url?,
        api_version: api_version?,
        region: region?,
        project: project?,
        credential: credential?,
        auth: auth?,
        ca,
    })
}

/// A field that some kinds have. It may get into a path, so it is a plain word.
fn setting(
    provider: &Cursor<'_>,
    field: Option<&Cursor<'_>>,
    name: &str,
    setting: Setting,
    kind: Option<&Kind>,
) -> Option<Option<String>> {
    let kind_name = kind.map_or("", |kind| kind.name);
    match (field, setting) {
        (None, Setting::Required) => {
            provider.name_problem(format!("`{name}` is missing: providers of kind {kind_name} need it"));
            None
        }
        (None, Setting::None | Setting::Optional) => Some(None),
        (Some(field), Setting::None) if name != "region" => {
            field.name_problem(format!("providers of kind {kind_name} have no `{name}`"));
            None
        }
        (Some(field), _) => word(field).map(Some),
    }
}

fn kind(name: &str, provider: &Cursor<'_>, field: Option<&Cursor<'_>>) -> Option<&'static Kind> {
    let kinds = || KINDS.iter().map(|kind| kind.name);
    let Some(field) = field else {
        let kind = Kind::named(name);
        if kind.is_none() {
            let unknown = unknown("kind", name, kinds());
            provider.name_problem(format!("`kind` is missing, and the name is none: {unknown}"));
        }
        return kind;
    };
    let name = field.string()?;
    let kind = Kind::named(name);
    if kind.is_none() {
        field.problem(unknown("kind", name, kinds()));
    }
    kind
}

fn credential(field: &Cursor<'_>, kind: Option<&Kind>) -> Option<Credential> {
    // Whatever else stands here may be the key itself: it must not get into a message or a log.
    let expected = "expected `{env: NAME}`, `{file: PATH}`, `{sds: NAME}`, or the word `none` \
                    (never the key itself)";
    if field.word() == Some("none") {
        return Some(Credential::None);
    }
    let Some((variant, value)) = field.variant() else {
        field.problem(expected);
        return None;
    };
    let name = |plain: fn(u8) -> bool| {
        let name = value.word().filter(|name| (1..=128).contains(&name.len()) && name.bytes().all(plain));
        if name.is_none() {
            value.problem("expected a name (never the key itself): letters, digits and _");
        }
        name.map(str::to_owned)
    };
    match variant {
        "env" => name(|byte| byte.is_ascii_alphanumeric() || byte == b'_').map(Credential::Env),
        "sds" => name(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte)).map(Credential::Sds),
        "file" => path(&value).map(Credential::File),
        "aws" => {
            let signed = kind.is_none_or(|kind| matches!(kind.auth, Auth::Aws(_)));
            if value.word() != Some("env") {
                value.problem("expected `env`: AWS's own chain of credentials");
                return None;
            }
            if !signed {
                field.problem("requests to providers of this kind are not signed for AWS; give a key");
                return None;
            }
            Some(Credential::Aws)
        }
        _ => {
            field.problem(expected);
            None
        }
    }
}

fn model(
    name: &str,
    cursor: &Cursor<'_>,
    providers: &[Row<'_, Provider>],
    models: &[&str],
    limits: &Limits,
) -> Option<Model> {
    let mut fields = cursor.fields()?;
    let provider_field = fields.required("provider", "the name of one of `providers`");
    let id_field = fields.required("id", "what the provider calls the model");
    let max_output_field = fields.optional("max_output");
    let context_window_field = fields.optional("context_window");
    let reasoning_field = fields.optional("reasoning");
    let efforts_field = fields.optional("efforts");
    let sampling_field = fields.optional("sampling");
    let fact_fields = FactFields::take(&mut fields);
    let limits_field = fields.optional("limits");
    fields.finish();

    let provider_names: Vec<_> = providers.iter().map(|row| row.name).collect();
    let index = provider_field.as_ref().and_then(|field| reference(field, "provider", &provider_names));
    let provider = index.and_then(|index| providers.get(index)?.value.as_ref());
    let kind = provider.map(|provider| provider.kind);
    let id = id_field.as_ref().and_then(|field| text(field, 256, "an id"));
    let max_output = max_output_field.as_ref().map(|field| field.unsigned(1..=u64::from(u32::MAX)));
    if let (Some(kind), None) = (kind, &max_output_field)
        && kind.needs_max_output
    {
        cursor.name_problem(format!(
            "`max_output` is missing: providers of kind {} refuse requests without a token limit, \
             so the model's own must be known",
            kind.name
        ));
    }
    let facts = fact_fields.read(models, provider.and_then(|provider| provider.region.as_deref()));
    let capable = facts.as_ref().and_then(|facts| facts.capabilities);
    let thinks = capable.is_some_and(|capable| capable.has(Capability::Reasoning));
    let reasoning = match &reasoning_field {
        Some(field) => reasoning(field, kind),
        None if thinks => kind.map(|kind| Some(kind.reasoning)),
        None => Some(None),
    };
    if let (Some(field), Some(None)) = (&reasoning_field, reasoning)
        && thinks
    {
        field.problem("`capabilities` says that it thinks; leave `reasoning` out there, or say how it is told to");
    }
    if let (Some(field), Some(None)) = (&efforts_field, reasoning) {
        field.problem("it has no `reasoning`, which `efforts` are of");
    }
    let efforts = match &efforts_field {
        Some(field) => choices(field, "effort", Effort::ALL),
        None => Some(Vec::new()),
    };
    let sampling = match &sampling_field {
        Some(field) => sampling(field),
        None => kind.map(|kind| kind.sampling.to_vec()),
    };
    let inherited = if matches!(reasoning, Some(Some(_))) { limits.reasoning_first_token } else { limits.first_token };
    let (first_token, answer) = model_limits(limits_field.as_ref(), inherited, limits.answer);
    let max_output = match max_output {
        Some(max_output) => Some(max_output?),
        None => None,
    };
    let context_window = match &context_window_field {
        Some(field) => Some(field.unsigned(1..=u64::from(u32::MAX))?),
        None => None,
    };
    let reasoning = reasoning?;
    let mut facts = facts?;
    if reasoning.is_some() {
        facts.capabilities = facts.capabilities.map(|capable| capable.with(Capability::Reasoning));
    }
    Some(Model {
        name: name.to_owned(),
        provider: index?,
        id: id?,
        max_output,
        context_window,
        reasoning,
        efforts: efforts?,
        sampling: sampling?,
        first_token,
        answer,
        facts,
    })
}

/// `true` and `false`, or the form in words.
fn reasoning(field: &Cursor<'_>, kind: Option<&Kind>) -> Option<Option<Reasoning>> {
    if field.word().is_some() {
        return field.choice("form of reasoning", Reasoning::ALL).map(Some);
    }
    Some(if field.bool()? { Some(kind?.reasoning) } else { None })
}

fn sampling(field: &Cursor<'_>) -> Option<Vec<Sampling>> {
    let all: Vec<_> = Sampling::ALL.iter().map(|sampling| (sampling.name(), *sampling)).collect();
    choices(field, "sampling parameter", &all)
}

/// Some of these, each once.
fn choices<T: Copy + PartialEq>(field: &Cursor<'_>, what: &str, all: &[(&str, T)]) -> Option<Vec<T>> {
    let mut taken = Vec::new();
    let mut complete = true;
    for element in field.elements()? {
        match element.choice(what, all) {
            Some(choice) if taken.contains(&choice) => element.problem(format!("this {what} is written twice")),
            Some(choice) => taken.push(choice),
            None => complete = false,
        }
    }
    complete.then_some(taken)
}

fn model_limits(field: Option<&Cursor<'_>>, first_token: Duration, answer: Duration) -> (Duration, Duration) {
    let Some(mut fields) = field.and_then(Cursor::fields) else {
        return (first_token.min(answer), answer);
    };
    let first_token_field = fields.optional("first_token");
    let answer_field = fields.optional("answer");
    fields.finish();
    let answer = answer_field.as_ref().and_then(duration).unwrap_or(answer);
    (within(first_token_field.as_ref(), first_token, answer), answer)
}

fn limits(field: Option<&Cursor<'_>>) -> Limits {
    let seconds = Duration::from_secs;
    let mut limits = Limits {
        first_token: seconds(10),
        reasoning_first_token: seconds(120),
        answer: seconds(600),
        idle: seconds(60),
        retry_after: seconds(5),
        attempts: 4,
        breaker: true,
        body: 32 << 20,
    };
    let Some(mut fields) = field.and_then(Cursor::fields) else { return limits };
    let first_token = fields.optional("first_token");
    let reasoning_first_token = fields.optional("reasoning_first_token");
    let answer = fields.optional("answer");
    let idle = fields.optional("idle");
    let retry_after = fields.optional("retry_after");
    let attempts = fields.optional("attempts");
    let breaker = fields.optional("breaker");
    let body = fields.optional("body");
    fields.finish();
    limits.answer = answer.as_ref().and_then(duration).unwrap_or(limits.answer);
    limits.first_token = within(first_token.as_ref(), limits.first_token, limits.answer);
    limits.reasoning_first_token = within(reasoning_first_token.as_ref(), limits.reasoning_first_token, limits.answer);
    limits.idle = within(idle.as_ref(), limits.idle, limits.answer);
    limits.retry_after = within(retry_after.as_ref(), limits.retry_after, limits.answer);
    let attempts = attempts.and_then(|field| field.unsigned(1..=10)).and_then(|number| u32::try_from(number).ok());
    limits.attempts = attempts.unwrap_or(limits.attempts);
    limits.breaker = breaker.and_then(|field| field.bool()).unwrap_or(limits.breaker);
    limits.body = body.as_ref().and_then(size).unwrap_or(limits.body);
    limits
}

/// A part of an answer cannot be given more time than the whole: a default is cut down to it, and to
/// write more is a mistake.
fn within(field: Option<&Cursor<'_>>, default: Duration, answer: Duration) -> Duration {
    let Some(field) = field else { return default.min(answer) };
    let Some(written) = duration(field) else { return default.min(answer) };
    if written > answer {
        field.problem(format!(
            "{} is longer than a whole answer may take (`answer`: {})",
            quantity::duration_text(written),
            quantity::duration_text(answer)
        ));
    }
    written
}

pub(super) fn duration(field: &Cursor<'_>) -> Option<Duration> {
    match field.quantity() {
        Err(Some(text)) => quantity::duration(text).map_err(|error| field.problem(error)).ok(),
        Ok(_) => {
            field.wrong_type("a duration with its unit, as in 10s");
            None
        }
        Err(None) => {
            field.wrong_type("a duration, as in 10s");
            None
        }
    }
}

fn size(field: &Cursor<'_>) -> Option<u64> {
    let bytes = match field.quantity() {
        Ok(bytes) => bytes,
        Err(Some(text)) => quantity::size(text).map_err(|error| field.problem(error)).ok()?,
        Err(None) => {
            field.wrong_type("a size, as in 32MiB");
            return None;
        }
    };
    if !(1 << 10..=1 << 30).contains(&bytes) {
        field.problem("the size is from 1KiB to 1GiB");
        return None;
    }
    Some(bytes)
}
