"""A private Postgres and a private RabbitMQ in one folder, for development, the demo, the tests and the benchmarks."""
