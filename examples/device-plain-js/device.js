import { FedecksClient } from '@fedecks/nest/client';

const {
  CLOUD_URL = 'ws://127.0.0.1:3000/fedecks/websocket',
  DEVICE_ID = 'greenhouse-1',
  GREENHOUSE_PASSWORD,
} = process.env;

const client = new FedecksClient({ url: CLOUD_URL, deviceId: DEVICE_ID, tokenStore: './state' });

client.messages$.subscribe((message) => console.log('message', message));
client.events$.subscribe((event) => {
  console.log('event', event);
  if (event.type === 'connected') measure();
});

function measure() {
  if (client.status !== 'connected') return;
  const celsius = 26 + Math.random();
  client.send('temperature', { celsius }).catch((error) => console.error(error.message));
}

const telemetry = setInterval(measure, 10_000);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    clearInterval(telemetry);
    await client.stop();
  });
}

await client.start();
if (client.status === 'unregistered') {
  // The first time only: from then on there is a token in ./state.
  if (!GREENHOUSE_PASSWORD) throw new Error('There is no token yet: set GREENHOUSE_PASSWORD to log in.');
  await client.login({ username: 'greenhouse', password: GREENHOUSE_PASSWORD });
}
