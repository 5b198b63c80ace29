//! A filter that does nothing, with the SDK that ours has: what the host itself costs. The benchmark puts it
//! where Dragoman's two stages are.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

struct Idle;

impl Context for Idle {}
impl HttpContext for Idle {}
impl RootContext for Idle {
    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Idle))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    proxy_wasm::set_root_context(|_| Box::new(Idle));
}
