// A placeholder. This app works without it in today's browsers.
//
// Run `npm install`, and webrtc-adapter takes the place of this file: it evens
// out the differences that are left between browsers, old ones above all.
