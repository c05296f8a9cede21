"""The site: Flower's ClientApp."""
