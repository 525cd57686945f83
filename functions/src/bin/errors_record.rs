//! Serves `POST /workflows/{workflowId}/errors`.

tenon::main!(serve(functions::api::errors::record::record_errors).idempotent());

#[global_allocator]
static ALLOCATOR: functions::FastAllocator = functions::FastAllocator;
