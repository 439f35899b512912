// Preloaded into an agent, makes its Node call itself an old one.
Object.defineProperty(process, 'versions', { value: { ...process.versions, node: process.env.OLD_NODE } });
