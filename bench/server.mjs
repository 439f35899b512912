// The messages of both servers to the benchmark.
export function serve(port, pushToAll, broadcast = pushToAll) {
  process.on('message', async (ask) => {
    if (ask === 'cpu') process.send({ cpu: process.cpuUsage() });
    if (ask === 'memory') {
      for (let i = 0; i < 3; i++) {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      process.send({ rss: process.memoryUsage().rss });
    }
    if (ask === 'push' || ask === 'broadcast') {
      await (ask === 'push' ? pushToAll : broadcast)({ led: true, at: 1700000000123 });
      process.send({ pushed: true });
    }
  });
  process.send({ port });
}
