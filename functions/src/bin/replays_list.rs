//! Serves `GET /destinations/{destinationId}/replays`.

tenon::main!(serve(functions::api::replays::list::list_replays));
