// Preloaded into an agent, makes its Node report an old version.
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: process.env.OLD_NODE } });
