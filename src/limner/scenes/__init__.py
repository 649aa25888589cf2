"""What a scene is: things, colours, backgrounds, layout, cut-outs, captions and labels."""
