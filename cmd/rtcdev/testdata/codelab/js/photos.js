'use strict';

// A page in the manner of 2015 to 2020, for a server in the codelab's manner: photos
// over a data channel. See main.js. The one who was in the room first makes the offer.

var CHUNK = 64000; // bytes in one message of the channel

var isInitiator;
var pc;
var channel;

var video = document.querySelector('video');
var canvas = document.getElementById('photo');
var button = document.getElementById('snapAndSend');
var photos = document.getElementById('photos');

var room = window.location.hash.substring(1);
if (!room) {
  room = window.location.hash = Math.random().toString(16).substring(2);
}

var socket = io.connect();

socket.on('created', function(room, id) {
  console.log('created', room, id);
  isInitiator = true;
  startCamera();
});

socket.on('joined', function(room, id) {
  console.log('joined', room, id);
  isInitiator = false;
  connect();
  startCamera();
});

socket.on('ready', function() {
  console.log('ready');
  connect();
});

socket.on('full', function(room) {
  alert('Room ' + room + ' is full. Here is another.');
  window.location.hash = '';
  window.location.reload();
});

socket.on('ipaddr', function(address) {
  console.log('ipaddr', address);
});

socket.on('log', function(array) {
  console.log.apply(console, array);
});

socket.on('message', function(message) {
  console.log('message', message);
  if (message.type === 'offer') {
    pc.setRemoteDescription(new RTCSessionDescription(message), function() {}, logError);
    pc.createAnswer(useDescription, logError);
  } else if (message.type === 'answer') {
    pc.setRemoteDescription(new RTCSessionDescription(message), function() {}, logError);
  } else if (message.type === 'candidate') {
    pc.addIceCandidate(new RTCIceCandidate({
      sdpMLineIndex: message.label,
      sdpMid: message.id,
      candidate: message.candidate
    }));
  }
});

socket.on('disconnect', function(reason) {
  console.log('disconnect', reason);
  button.disabled = true;
});

// Who did not begin the room loads the page again, to begin it anew.
socket.on('bye', function(room) {
  console.log('bye', room);
  button.disabled = true;
  if (!isInitiator) {
    window.location.reload();
  }
});

socket.emit('create or join', room);

if (location.hostname.match(/localhost|127\.0\.0/)) {
  socket.emit('ipaddr');
}

window.addEventListener('unload', function() {
  socket.emit('bye', room);
});

function sendMessage(message) {
  socket.emit('message', message);
}

function startCamera() {
  navigator.mediaDevices.getUserMedia({audio: false, video: true})
    .then(function(stream) {
      video.srcObject = stream;
    })
    .catch(function(error) {
      alert('No camera: ' + error.name);
    });
}

function connect() {
  pc = new RTCPeerConnection(null);
  pc.onicecandidate = function(event) {
    if (event.candidate) {
      sendMessage({
        type: 'candidate',
        label: event.candidate.sdpMLineIndex,
        id: event.candidate.sdpMid,
        candidate: event.candidate.candidate
      });
    }
  };
  if (isInitiator) {
    useChannel(pc.createDataChannel('photos'));
    pc.createOffer().then(useDescription).catch(logError);
  } else {
    pc.ondatachannel = function(event) {
      useChannel(event.channel);
    };
  }
}

function useDescription(description) {
  var connection = pc;
  connection.setLocalDescription(description).then(function() {
    sendMessage(connection.localDescription);
  }).catch(logError);
}

function useChannel(opened) {
  channel = opened;
  channel.binaryType = 'arraybuffer';
  channel.onopen = function() {
    button.disabled = false;
  };
  channel.onclose = function() {
    button.disabled = true;
  };
  var bytes, count;
  channel.onmessage = function(event) {
    if (typeof event.data === 'string') { // how many follow
      bytes = new Uint8ClampedArray(parseInt(event.data));
      count = 0;
      return;
    }
    bytes.set(new Uint8ClampedArray(event.data), count);
    count += event.data.byteLength;
    if (count === bytes.length) {
      showPhoto(bytes);
    }
  };
}

button.addEventListener('click', function() {
  var context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  var pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  channel.send(String(pixels.length));
  for (var i = 0; i < pixels.length; i += CHUNK) {
    channel.send(pixels.subarray(i, i + CHUNK));
  }
});

function showPhoto(bytes) {
  var photo = document.createElement('canvas');
  photo.width = canvas.width;
  photo.height = canvas.height;
  photo.title = adapter.browserDetails.browser + ' got this';
  photo.getContext('2d').putImageData(new ImageData(bytes, photo.width), 0, 0);
  photos.insertBefore(photo, photos.firstChild);
}

function logError(error) {
  console.log('error: ' + error);
}
