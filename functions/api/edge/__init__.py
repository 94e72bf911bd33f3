"""What every answer has, whichever route gave it: headers for browsers, and which methods a path takes."""
