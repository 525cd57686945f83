//! Start-up of functions: the state that a function is given, and the connections that it opens.
//!
//! A function declares what it uses, and [`FromAws`] creates it:
//!
//! ```ignore
//! #[derive(Clone, Debug, FromAws)]
//! pub struct State {
//!     users: Users<ReadOnly>,
//!     #[aws(vault = "CREDENTIALS_KEY")]
//!     vault: Vault,
//! }
//! ```
//!
//! A function that uses a single store needs no struct; the store is its state.
//!
//! Creating a value sends no request, except that [`Signer`] and [`Verifier`] open the connections
//! and read their keys. [`Aws::connect`] opens all other connections concurrently, with one
//! `GetItem` per DynamoDB connection and one `DescribeKey` per vault, because Lambda provides a
//! full CPU during initialization. A failure is only logged, and so is a service that does not
//! respond within three seconds. DynamoDB and SQS have one client each;
//! each vault has its own.

use std::{
    any::{Any, TypeId},
    cell::{Cell, RefCell},
    collections::HashMap,
    error::Error,
    future::Future,
};

use aws_config::SdkConfig;
use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, join_all},
};
pub use macros::FromAws;

use crate::{
    aws::{SettingError, setting, start_up_step},
    delivery::{
        connections::Connections,
        drain::Drains,
        drain_scheduler::DrainScheduler,
        eventbridge::{DEFAULT_TIMEOUT, EventBridgeSender, FIRST_ATTEMPT_TIMEOUT},
        first_attempts::FirstAttemptSender,
        forward::Forwarder,
        guard::EgressRules,
        queues::Queue,
        recorder::DeliveryRecorder,
        replay::Replayer,
        senders::Senders,
        sweep::Sweep,
        webhook::WebhookSender,
    },
    domain::role::Principal,
    store::{
        self, Access, ReadOnly, Table,
        api_keys::{ApiKeys, LastUsedTracker},
        credentials::Credentials,
        deliveries::Deliveries,
        destinations::Destinations,
        environments::Environments,
        erasures::Erasures,
        errors::Errors,
        events::{Events, Outbox},
        health::HealthStore,
        idempotency_records::IdempotencyRecords,
        installations::Installations,
        integrations::{Catalogue, Integrations},
        pending::PendingDeliveries,
        records::Records,
        replays::Replays,
        retention::Retention,
        signing_keys::SigningKeys,
        tickets::Tickets,
        user_jobs::UserJobs,
        users::Users,
        workflows::{WorkflowRefs, Workflows},
    },
    tokens::{Signer, Verifier},
    vault::Vault,
};

/// Reason why a function failed to start.
pub type StartError = Box<dyn Error + Send + Sync>;

/// Value that a function is given at start-up.
pub trait FromAws: Sized {
    /// Creates the value from the function's environment variables and the shared clients.
    fn from_aws(aws: &Aws) -> impl Future<Output = Result<Self, StartError>>;
}

/// Initializes logging, creates the state of a function, and serves requests with it until Lambda
/// stops the process.
pub(crate) fn run<S>(
    state: impl AsyncFnOnce(&Aws) -> Result<S, StartError>,
    serve: impl AsyncFnOnce(S) -> Result<(), StartError>,
) -> Result<(), StartError> {
    crate::logs::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { serve(connect(&crate::aws::config()?, state).await?).await })
}

/// Creates the state of a function, such as with `State::from_aws`, and opens its connections.
pub async fn connect<S>(
    config: &SdkConfig,
    state: impl AsyncFnOnce(&Aws) -> Result<S, StartError>,
) -> Result<S, StartError> {
    let aws = Aws::new(config.clone());
    let state = state(&aws).await?;
    aws.connect().await;
    Ok(state)
}

/// Clients that the parts of a state share, and the connections that they need.
///
/// Both are type-erased, so that the binary of a function contains only the clients that it uses.
pub struct Aws {
    config: SdkConfig,
    shared: RefCell<Shared>,
    /// Number of concurrent requests to DynamoDB.
    connections: Cell<u32>,
    tables: RefCell<DynamoDb>,
    /// Connections to other services that are not open yet.
    unopened: RefCell<Vec<LocalBoxFuture<'static, ()>>>,
}

/// Clients by type and name.
type Shared = HashMap<(TypeId, &'static str), Box<dyn Any>>;

/// Connections to DynamoDB, which all tables share.
enum DynamoDb {
    Unused,
    /// Not opened yet. The closure opens the given number.
    Used(Box<dyn FnOnce(u32) -> LocalBoxFuture<'static, ()>>),
    Connected,
}

impl Aws {
    fn new(config: SdkConfig) -> Self {
        let tables = RefCell::new(DynamoDb::Unused);
        Self { config, shared: RefCell::default(), connections: Cell::new(1), tables, unopened: RefCell::default() }
    }

    /// Returns the configuration of the SDK.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// Sets the number of DynamoDB connections to open, one by default. Must be called before
    /// [`Self::connect`].
    pub fn set_connections(&self, number: u32) {
        self.connections.set(number);
    }

    /// Returns the Directory table: users, workflows, destinations and keys.
    pub fn directory<A: Access>(&self) -> Result<Table<A>, SettingError> {
        let name: String = setting("DIRECTORY_TABLE")?;
        if matches!(*self.tables.borrow(), DynamoDb::Unused) {
            self.open_through(self.table(name.clone()));
        }
        Ok(self.table(name))
    }

    /// Returns the Errors table: errors, events and deliveries. Connections are opened through this
    /// table, even if the function also uses the Directory table.
    pub fn errors<A: Access>(&self) -> Result<Table<A>, SettingError> {
        let name: String = setting("ERRORS_TABLE")?;
        if !matches!(*self.tables.borrow(), DynamoDb::Connected) {
            self.open_through(self.table(name.clone()));
        }
        Ok(self.table(name))
    }

    /// Returns the Errors table for events only, which a function writes in addition to its own
    /// table. Opens no connection.
    fn outbox(&self) -> Result<Table, SettingError> {
        Ok(self.table(setting("ERRORS_TABLE")?))
    }

    fn table<A: Access>(&self, name: String) -> Table<A> {
        Table::with_client(self.shared("dynamodb", || store::dynamodb_client(&self.config)), name)
    }

    fn open_through(&self, table: Table<ReadOnly>) {
        let open = move |number| async move { table.open(number).await }.boxed_local();
        self.tables.replace(DynamoDb::Used(Box::new(open)));
    }

    /// Returns the vault with the KMS key that an environment variable names.
    pub fn vault(&self, variable: &'static str) -> Result<Vault, SettingError> {
        let key: String = setting(variable)?;
        Ok(self.shared(variable, || {
            let vault = Vault::new(&self.config, key);
            let connecting = vault.clone();
            self.unopened.borrow_mut().push(async move { connecting.connect().await }.boxed_local());
            vault
        }))
    }

    /// Returns a vault that connects with its first request, for functions that rarely need it or
    /// that use it while they start.
    pub fn lazy_vault(&self, variable: &'static str) -> Result<Vault, SettingError> {
        Ok(Vault::new(&self.config, setting::<String>(variable)?))
    }

    /// Returns the queue with the URL in an environment variable.
    pub fn queue(&self, variable: &'static str) -> Result<Queue, SettingError> {
        let url: String = setting(variable)?;
        Ok(self.shared("sqs", || Queue::new(&self.config, url.clone())).with_url(url))
    }

    /// Returns the value of this type and name, which is created once.
    fn shared<T: Clone + 'static>(&self, name: &'static str, create: impl FnOnce() -> T) -> T {
        let key = (TypeId::of::<T>(), name);
        if let Some(value) = self.shared.borrow().get(&key).and_then(|value| value.downcast_ref::<T>()) {
            return value.clone();
        }
        let value = create();
        self.shared.borrow_mut().insert(key, Box::new(value.clone()));
        value
    }

    /// Opens the connections that are not open yet, concurrently.
    pub async fn connect(&self) {
        let mut opening = self.unopened.take();
        match self.tables.replace(DynamoDb::Connected) {
            DynamoDb::Used(open) => opening.push(open(self.connections.get())),
            unchanged => {
                self.tables.replace(unchanged);
            }
        }
        start_up_step(join_all(opening)).await;
    }
}

async fn part<T: FromAws>(aws: &Aws) -> Result<T, StartError> {
    T::from_aws(aws).await
}

/// Implements [`FromAws`] for types by their fields. A field without a value is created from its
/// type.
macro_rules! from_aws {
    (@value $aws:ident) => { part($aws).await? };
    (@value $aws:ident $value:expr) => { $value };
    ($($type:ident $(<$access:ident>)? ($aws:ident) { $($field:tt $(: $value:expr)?),* })*) => {$(
        impl $(<$access: Access>)? FromAws for $type $(<$access>)? {
            async fn from_aws($aws: &Aws) -> Result<Self, StartError> {
                Ok(Self { $($field: from_aws!(@value $aws $($value)?)),* })
            }
        }
    )*};
}

// Stores.
from_aws! {
    ApiKeys<A>(aws) { 0: aws.directory()? }
    Credentials<A>(aws) { 0: aws.directory()? }
    Destinations<A>(aws) { 0: aws.directory()? }
    Environments<A>(aws) { 0: aws.directory()? }
    HealthStore<A>(aws) { 0: aws.directory()? }
    IdempotencyRecords(aws) { 0: aws.directory()? }
    Installations<A>(aws) { 0: aws.directory()? }
    Integrations<A>(aws) { 0: aws.directory()? }
    Replays<A>(aws) { 0: aws.directory()? }
    SigningKeys<A>(aws) { 0: aws.directory()? }
    Tickets<A>(aws) { 0: aws.directory()? }
    Users<A>(aws) { 0: aws.directory()? }
    Workflows<A>(aws) { 0: aws.directory()? }
    Deliveries<A>(aws) { table: aws.errors()?, retention }
    Errors<A>(aws) { table: aws.errors()?, retention }
    PendingDeliveries(aws) { table: aws.errors()?, retention }
    Events(aws) { 0: aws.errors()? }
    Outbox(aws) { table: aws.outbox()?, retention }
    Records(aws) { 0: aws.errors()? }
    UserJobs(aws) { directory: aws.directory()?, outbox }
    Erasures(aws) { directory: aws.directory()?, errors: aws.errors()? }
}

// Delivery.
from_aws! {
    Connections(aws) { vault: aws.vault("DESTINATIONS_KEY")?, rules, config, principal }
    DrainScheduler(aws) { health_store, queue: aws.queue("DRAINS_QUEUE")? }
    DeliveryRecorder(aws) { destinations, health_store, deliveries, pending, replays, scheduler }
    Senders(aws) { eventbridge, webhooks }
    Forwarder(aws) {
        recorder,
        eventbridge: EventBridgeSender::new(aws.config(), aws.vault("DESTINATIONS_KEY")?, FIRST_ATTEMPT_TIMEOUT),
        webhook_queue: aws.queue("WEBHOOKS_QUEUE")?,
        dead_letter_queue: aws.queue("FORWARD_FAILURES_QUEUE")?
    }
    FirstAttemptSender(aws) { recorder, records, webhooks }
    Drains(aws) { recorder, records, senders }
    Replayer(aws) {
        replays, destinations, health_store, records, deliveries, pending,
        steps: aws.queue("REPLAYS_QUEUE")?,
        scheduler
    }
    Sweep(aws) { health_store, scheduler, replays, steps: aws.queue("REPLAYS_QUEUE")? }
}

impl FromAws for EventBridgeSender {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        Ok(Self::new(aws.config(), aws.vault("DESTINATIONS_KEY")?, DEFAULT_TIMEOUT))
    }
}

impl FromAws for WebhookSender {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        Ok(Self::new(EgressRules::from_env()?, aws.vault("DESTINATIONS_KEY")?))
    }
}

/// Opens the connections, then reads and decrypts the signing key.
impl FromAws for Signer {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        let (keys, vault) = (SigningKeys::<ReadOnly>::from_aws(aws).await?, aws.lazy_vault("SIGNING_KEY")?);
        aws.connect().await;
        Ok(Self::load(keys, vault).await)
    }
}

/// Opens the connections, then reads the public keys.
impl FromAws for Verifier {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        let (keys, issuer) = (SigningKeys::<ReadOnly>::from_aws(aws).await?, setting("TOKEN_ISSUER")?);
        aws.connect().await;
        Ok(Self::load(keys, issuer).await)
    }
}

impl FromAws for LastUsedTracker {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        Ok(Self::new(ApiKeys::from_aws(aws).await?))
    }
}

impl FromAws for Catalogue {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        Ok(Self::new(Integrations::from_aws(aws).await?))
    }
}

impl FromAws for WorkflowRefs {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        Ok(Self::new(Workflows::from_aws(aws).await?))
    }
}

impl FromAws for Retention {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(Self::from_env()?)
    }
}

impl FromAws for Principal {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(setting("PRINCIPAL")?)
    }
}

impl FromAws for EgressRules {
    async fn from_aws(_: &Aws) -> Result<Self, StartError> {
        Ok(Self::from_env()?)
    }
}

impl FromAws for SdkConfig {
    async fn from_aws(aws: &Aws) -> Result<Self, StartError> {
        Ok(aws.config().clone())
    }
}
