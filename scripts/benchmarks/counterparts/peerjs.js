// PeerServer as its README shows it, to be measured against. Its limits are raised
// so that idle connections stay: 5,000 of them for 90 seconds are the default.
//
//   NODE_PATH=…/node_modules node peerserver.js PORT [CERT KEY]
'use strict';
const fs = require('fs');
const {PeerServer} = require('peer');

const [port, cert, key] = process.argv.slice(2);
PeerServer({
  host: '127.0.0.1',
  port: Number(port),
  path: '/',
  concurrent_limit: 100000,
  alive_timeout: 3600 * 1000,
  ssl: cert && {
    cert: fs.readFileSync(cert),
    key: fs.readFileSync(key),
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256', // as the Go servers choose
  },
});
