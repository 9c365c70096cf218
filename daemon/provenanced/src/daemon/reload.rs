//! Settings read anew, by SIGHUP.

use provenance_host::{
    clock::Clock,
    config::{Config, ConfigError},
};
use provenance_time_sources::poller::SourcePoller;

use super::{
    Daemon, Options,
    follower_thread::{FollowerHandle, Followers},
    recovery, settings,
};
use crate::{engine::Input, error::ServiceError, sd_notify};

impl<C: Clock + Clone + Send + Sync + 'static> Daemon<C> {
    /// Whether the settings were taken over.
    pub(super) async fn reload(&mut self, options: &Options) -> bool {
        sd_notify::reloading();
        let loaded = Config::load(&options.config_path, &options.set);
        let taken = match loaded.and_then(|config| self.fits(config)) {
            Ok(config) if config == self.config => {
                tracing::info!("the settings are unchanged");
                false
            }
            Ok(config) => self.take_over(config).await,
            Err(error) => {
                tracing::error!("the settings were not reloaded: {error}");
                false
            }
        };
        sd_notify::ready();
        taken
    }

    /// What a running chain cannot change.
    fn fits(&self, config: Config) -> Result<Config, ConfigError> {
        let key = match () {
            () if config.state_dir != self.config.state_dir => "state_dir",
            () if config.client != self.config.client => "client",
            () if config.host != self.config.host => "host",
            () if config.signing_key != self.config.signing_key => "signing_key",
            () if config.alert.webhook != self.config.alert.webhook => "webhook",
            () => return Ok(config),
        };
        Err(ConfigError::Value {
            path: "reload".into(),
            line: None,
            key,
            message: "cannot change while the daemon runs: restart it".into(),
        })
    }

    async fn take_over(&mut self, config: Config) -> bool {
        // The new followers begin where the old ones are: what those hold is
        // recorded first.
        let follows = (&config.watch, &config.exclude, &config.journal)
            != (&self.config.watch, &self.config.exclude, &self.config.journal);
        if follows {
            self.tick().await;
            let Some(snapshot) = self.followers.snapshot().await else {
                tracing::error!(
                    "the settings were not reloaded: the logs are being read; try again"
                );
                return false;
            };
            let (taken, state, moved) = (config.clone(), self.state.clone(), self.moved.clone());
            let started = FollowerHandle::start(move || {
                let mut followers = Followers::open(&taken, &state)?;
                if !recovery::Replay::restore(&mut followers, &snapshot) {
                    let message = "a snapshot of the followers could not be read back";
                    return Err(ServiceError::State(message.into()));
                }
                followers.watch(&moved);
                Ok((followers, ()))
            })
            .await;
            match started {
                Ok((followers, ())) => self.followers = followers,
                Err(error) => {
                    tracing::error!("the settings were not reloaded: {error}");
                    return false;
                }
            }
        }
        if (&config.sources, &config.node) != (&self.config.sources, &self.config.node) {
            self.panel = SourcePoller::new(&config, self.clock.clone());
        }
        self.config = config;
        self.decide(Input::Reload(settings(&self.config))).await;
        tracing::info!("settings reloaded");
        true
    }
}
