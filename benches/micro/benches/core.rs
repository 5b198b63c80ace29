//! The tasks natively, each for a second or so. `scripts/bench micro` runs this and the same in V8, and compares.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dragoman_micro::tasks;

fn core(criterion: &mut Criterion) {
    for task in tasks() {
        let (what, on) = &task.name;
        let mut group = criterion.benchmark_group(*what);
        if task.bytes > 0 {
            group.throughput(Throughput::Bytes(task.bytes as u64));
        }
        group.bench_function(BenchmarkId::from_parameter(on), |bencher| bencher.iter(&task.run));
        group.finish();
    }
}

criterion_group!(benches, core);
criterion_main!(benches);
