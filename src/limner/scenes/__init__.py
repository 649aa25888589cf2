"""What a scene is: things, colours, backgrounds, layout, rendering and wording."""
