// A room server in the manner of socket.io's own examples, to be measured against:
// two to a room, and what one sends goes to the other.
//
//   NODE_PATH=…/node_modules node socketio.js PORT [CERT KEY]
'use strict';
const fs = require('fs');
const {Server} = require('socket.io');

const [port, cert, key] = process.argv.slice(2);
const web = cert
  ? require('https').createServer({
      cert: fs.readFileSync(cert),
      key: fs.readFileSync(key),
      minVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_128_GCM_SHA256', // as the Go servers choose
    })
  : require('http').createServer();

new Server(web).on('connection', (socket) => {
  socket.on('join', (room) => {
    socket.join(room);
    socket.on('message', (data) => socket.to(room).emit('message', data));
    socket.emit('joined', room);
  });
});
web.listen(Number(port), '127.0.0.1');
