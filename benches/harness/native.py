"""Envoy's own `ai_protocol_manager` with its transcoder (alpha), where our attempt stage is: in the upstream chain.

Clients speak OpenAI's API, which is the transcoder's own inner form, so that one direction of it is enough.
"""

PROTOCOLS = {"openai": "OPENAI_CHAT_COMPLETIONS", "anthropic": "ANTHROPIC_MESSAGES", "gemini": "GEMINI_GENERATE_CONTENT"}
FILTER = "envoy.filters.http.ai_protocol_manager"
TYPE = "type.googleapis.com/envoy.extensions.filters.http.ai_protocol_manager.v3"


def add(bootstrap):
    from .bootstraps import manager
    transcoder = {
        "name": "envoy.http.ai_filters.transcoder",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.ai_filters.transcoder.v3.Transcoder",
            "request_handling": "FROM_IR",
            "response_handling": "TO_IR",
        },
    }
    config = {"@type": f"{TYPE}.AiProtocolManager", "request_handling": {}, "response_handling": {},
              "filters": [transcoder]}
    for cluster in bootstrap["static_resources"]["clusters"]:
        for options in cluster.get("typed_extension_protocol_options", {}).values():
            if "http_filters" in options:
                options["http_filters"].insert(0, {"name": FILTER, "typed_config": config})
    for route in manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"]:
        kind = route["route"]["cluster"].partition("-")[0]
        route["typed_per_filter_config"] = {FILTER: {
            "@type": f"{TYPE}.AiProtocolManagerPerRoute",
            "request": {"llm_protocol": PROTOCOLS["openai"]},
            "response": {"llm_protocol": PROTOCOLS[kind]},
        }}
    return bootstrap
