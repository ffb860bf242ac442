"""Recipes that come with Kinema and take a person's own clips: `kinema train NAME --data FOLDER`."""
