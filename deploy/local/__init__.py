"""A private Postgres and a private RabbitMQ in one folder, for the demo, the tests, the benchmarks and a quick look."""
