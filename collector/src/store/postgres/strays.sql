-- What is dated far off is found, moved and deleted by its time, without reading all of it each time.
CREATE INDEX bandwidth_stats_default_time ON bandwidth_stats_default (time);
CREATE INDEX traffic_mix_default_time ON traffic_mix_default (time);
CREATE INDEX bandwidth_1m_default_time ON bandwidth_1m_default (time);
CREATE INDEX bandwidth_5m_default_time ON bandwidth_5m_default (time);
