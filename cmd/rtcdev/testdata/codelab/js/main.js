'use strict';

// A page in the manner of 2015 to 2020, for a server in the codelab's manner. It is
// old on purpose, weaknesses included: pages like it have to work as they are.

var isChannelReady = false;
var isInitiator = false;
var isStarted = false;
var localStream;
var pc;

var localVideo = document.querySelector('#localVideo');
var remoteVideo = document.querySelector('#remoteVideo');

// Others ask: prompt('Which room?')
var room = 'foo';

var socket = io.connect();

if (room !== '') {
  socket.emit('create or join', room);
}
if (/^(localhost|127\.)/.test(location.hostname)) {
  socket.emit('ipaddr');
}

socket.on('created', function(room, id) {
  console.log('created', room, id);
  isInitiator = true;
});

socket.on('join', function(room) {
  console.log('join', room);
  isChannelReady = true;
});

socket.on('joined', function(room, id) {
  console.log('joined', room, id);
  isChannelReady = true;
});

socket.on('full', function(room) {
  console.log('full', room);
});

socket.on('ready', function(room) {
  console.log('ready', room);
});

socket.on('bye', function(room) {
  console.log('bye', room);
});

socket.on('ipaddr', function(address) {
  console.log('ipaddr', address);
});

socket.on('log', function(array) {
  console.log.apply(console, array);
});

socket.on('message', function(message) {
  console.log('message', message);
  if (message === 'got user media') {
    maybeStart();
  } else if (message === 'bye') {
    if (isStarted) {
      endCall();
    }
  } else if (message.type === 'offer') {
    if (!isInitiator && !isStarted) {
      maybeStart();
    }
    pc.setRemoteDescription(new RTCSessionDescription(message));
    pc.createAnswer().then(useDescription, logError);
  } else if (message.type === 'answer' && isStarted) {
    pc.setRemoteDescription(new RTCSessionDescription(message));
  } else if (message.type === 'candidate' && isStarted) {
    pc.addIceCandidate(new RTCIceCandidate({
      sdpMLineIndex: message.label,
      candidate: message.candidate
    }));
  }
});

function sendMessage(message) {
  socket.emit('message', message);
}

window.onbeforeunload = function() {
  sendMessage('bye');
};

navigator.mediaDevices.getUserMedia({audio: false, video: true})
  .then(useCamera)
  .catch(function(error) {
    alert('No camera: ' + error.name);
  });

function useCamera(stream) {
  localStream = stream;
  localVideo.srcObject = stream;
  sendMessage('got user media');
  if (isInitiator) {
    maybeStart();
  }
}

function maybeStart() {
  if (isStarted || !localStream || !isChannelReady) {
    return;
  }
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
  pc.onaddstream = function(event) {
    remoteVideo.srcObject = event.stream;
  };
  pc.addStream(localStream);
  isStarted = true;
  if (isInitiator) {
    pc.createOffer(useDescription, logError);
  }
}

function useDescription(description) {
  pc.setLocalDescription(description);
  sendMessage(description);
}

function endCall() {
  isStarted = false;
  isInitiator = false;
  pc.close();
  pc = null;
}

function logError(error) {
  console.log('error: ' + error);
}
