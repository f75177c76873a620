export const texts = {
  "en": {
    "title": "Call"
  },
  "ko": {
    "title": "통화"
  }
};
