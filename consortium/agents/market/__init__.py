"""What a node does in the market by itself: order, close, clear, pay, deliver, settle."""
