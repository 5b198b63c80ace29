//! What `v8.mjs` calls of the tasks.

use std::ffi::{CString, c_char};

use serde_json::{Value, json};

use crate::memory::{Counting, allocated};
use crate::{Task, tasks};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static TASKS: Vec<Task> = tasks();
}

/// A list of the tasks as JSON, with what each takes of memory.
#[unsafe(no_mangle)]
extern "C" fn describe() -> *const c_char {
    let describe = |task: &Task| {
        // What is made once is made.
        (task.run)();
        let (peak, allocations) = allocated(|| (task.run)());
        json!({"name": task.name, "bytes": task.bytes, "allocations": allocations, "peak": peak, "held": task.held})
    };
    let list = TASKS.with(|tasks| tasks.iter().map(describe).collect::<Value>());
    CString::new(list.to_string()).expect("JSON has no zero byte").into_raw()
}

#[unsafe(no_mangle)]
extern "C" fn run(task: usize, times: usize) {
    TASKS.with(|tasks| {
        let task = tasks.get(task).expect("a task of the list");
        (0..times).for_each(|_| (task.run)());
    });
}
